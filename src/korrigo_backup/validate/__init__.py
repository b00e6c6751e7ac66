"""Validation: does the live site work."""
