"""Progress of a run: its place among the steps of a former run, its works, the time left, on a terminal or as lines."""
