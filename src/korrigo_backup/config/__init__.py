"""The configuration: typed sections and where their values come from."""
