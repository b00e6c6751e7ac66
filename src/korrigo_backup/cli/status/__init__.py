"""How the backups stand: for people, for metrics, for the checklists, and for the pages that others read."""
