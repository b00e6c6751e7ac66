"""Verification: is an artifact whole and authentic."""
