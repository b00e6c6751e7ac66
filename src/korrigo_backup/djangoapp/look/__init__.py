"""The actions of staff on a backup in the admin: look at its rows, and ask the host to bring rows back."""
