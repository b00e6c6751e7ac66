"""Erasures on request, recorded so that no restore brings the rows back."""
