"""Requests of the site's admin to the host: rows as of a backup that are to come back (decision 56)."""
