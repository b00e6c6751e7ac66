"""Notify people and machines: mail and chat by Apprise, pings by Healthchecks; no failure here can fail a run."""
