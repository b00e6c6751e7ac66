"""Before the first backup, and when something is wrong: configuration, checks, diagnosis."""
