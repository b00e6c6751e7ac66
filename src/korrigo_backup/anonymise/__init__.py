"""Anonymised copies: rules for columns and files, carried out on a loaded copy, and checked there."""
