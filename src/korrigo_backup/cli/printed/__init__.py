"""Results of some size, printed for people."""
