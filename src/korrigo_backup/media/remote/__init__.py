"""A media tree that only a container reaches."""
