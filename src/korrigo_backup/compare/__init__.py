"""Comparison of a saved state with a present one."""
