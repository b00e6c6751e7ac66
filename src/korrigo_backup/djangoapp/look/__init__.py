"""The actions of staff on a backup in the admin: look at its rows, ask the host to bring rows back (decision 56)."""
