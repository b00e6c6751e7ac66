"""The status of the backups, as the site's process shows it."""
