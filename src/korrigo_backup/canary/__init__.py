"""The canary: a new backup held against the site's own history, to find lost data while older backups still exist."""
