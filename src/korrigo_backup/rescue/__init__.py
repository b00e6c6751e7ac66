"""The smallest way back: how a row, a file or a table stood in each backup, and what of it can be brought back."""
