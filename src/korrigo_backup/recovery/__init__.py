"""Recovery: what the next run does about a crash."""
