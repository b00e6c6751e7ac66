"""Commands of the reconstruction."""
