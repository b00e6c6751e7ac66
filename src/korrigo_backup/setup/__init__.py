"""The first configuration, preflight checks and the report for support."""
