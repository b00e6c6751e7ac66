"""The media tree: walked, archived, staged and swapped."""
