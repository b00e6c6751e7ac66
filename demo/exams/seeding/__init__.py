"""The rows and files of the reference site, the same for the same seed."""
