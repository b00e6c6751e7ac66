"""Schedules: cron, systemd, and the loop for containers."""
