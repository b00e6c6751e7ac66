"""Proven backup and restore for Django, PostgreSQL and media sites."""

__version__ = "0.1.0"
