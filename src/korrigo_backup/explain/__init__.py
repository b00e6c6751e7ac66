"""Explanations of findings, errors and exit codes: symptom, cause, next command."""
