"""The live platform: how it is reached, its database, its media, its services."""
