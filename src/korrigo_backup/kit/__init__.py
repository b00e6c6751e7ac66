"""The recovery kit."""
