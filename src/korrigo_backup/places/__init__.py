"""Throw-away places in which an artifact is loaded: beside the live data, on this machine, on a staging server."""
