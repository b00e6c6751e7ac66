"""The command: a file for each verb (options, one call, text out) and one error boundary."""
