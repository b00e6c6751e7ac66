"""Runs without a person: the schedule, and the verbs that it begins."""
