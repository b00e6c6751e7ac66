"""Everything that knows Docker Compose."""
