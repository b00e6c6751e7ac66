"""The commands of the runbook, 4.3 and 5.4."""
