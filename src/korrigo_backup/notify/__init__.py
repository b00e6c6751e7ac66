"""Telling people and machines: mail and chat by Apprise, pings by Healthchecks; nothing here can fail a run."""
