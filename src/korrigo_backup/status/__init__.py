"""The status of a site's backups: collected, evaluated, published."""
