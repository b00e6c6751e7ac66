"""The marking of scanned exam papers."""
