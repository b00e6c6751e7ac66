"""Transactions of a dump and of a load."""
