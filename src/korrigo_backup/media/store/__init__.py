"""The media store: each content of a media file once, and backups that are listings of names and checksums."""
