"""The command: a file for each verb, in folders for status, schedule and setup (options, one call, text out) and one error boundary."""
