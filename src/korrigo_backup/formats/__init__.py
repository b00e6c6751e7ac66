"""The kinds of artifact, a file for each: create, verify, load."""
