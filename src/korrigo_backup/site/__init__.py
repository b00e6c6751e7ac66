"""One running platform: database, media, services, and its Django."""
