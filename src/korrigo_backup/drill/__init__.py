"""Drills: an artifact restored into a throw-away place."""
