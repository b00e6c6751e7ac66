"""Retention: what the policy removes, holds, and the removal."""
