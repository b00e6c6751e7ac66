"""Artifacts: the restorable things on disk, and the directory that holds them."""
