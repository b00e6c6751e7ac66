"""The journal of runs, and the undo stack of one run."""
