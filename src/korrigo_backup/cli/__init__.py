"""The command: one file a verb (options, one call, text out) and one error boundary."""
