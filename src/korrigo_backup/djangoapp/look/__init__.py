"""What staff may do with a backup in the admin besides seeing it: ask the host to bring rows back (decision 56)."""
