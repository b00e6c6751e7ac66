"""Korrigo's former Method 2, built again from its runbook (4.3, 5.4, 5.8): a rival, and the maker of old artifacts.

Its faults are kept on purpose: default managers, one list of all rows, live rows deleted before the backup is
read, fifteen passes with errors swallowed, sequences left where they are.
"""
