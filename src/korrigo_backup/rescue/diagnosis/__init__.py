"""The damage of a site, since when it is there, and the ways back."""
