"""How a row, a file or a table stood in each backup, and what changed in between."""
