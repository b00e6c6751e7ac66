"""The command: a file for each verb (options, one call, text out), and one error boundary.

Verbs of the status, the schedule and the setup stand in folders of these names.
"""
