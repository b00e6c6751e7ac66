"""The operating system: processes, files, streams, locks. Nothing here knows what a backup is."""
