"""Dumps as SQL text: made, read, edited, loaded and proven."""
