"""Objects built from the configuration."""
