"""Rows of a backup, read without loading it."""
