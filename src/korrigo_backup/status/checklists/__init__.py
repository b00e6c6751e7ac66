"""The runbook's checklists, answered with evidence."""
