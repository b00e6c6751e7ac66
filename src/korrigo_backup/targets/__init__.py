"""Targets: other places for artifacts, to which copies are sent and from which they are read back."""
