"""The description of the site, and the trial of its functions."""
