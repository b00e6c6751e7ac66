"""The operating system: processes, files, streams, locks. No module here knows about backups."""
