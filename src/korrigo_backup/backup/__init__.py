"""Backups: database, media, or both as one restore point."""
