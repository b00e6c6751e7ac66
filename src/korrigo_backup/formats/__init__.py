"""The kinds of artifact, one file each: create, verify, load."""
