"""The verbs of the smallest way back."""
