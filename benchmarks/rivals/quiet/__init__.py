"""Takes away the reference site's post_save signal, for loaders that would fire it and then fail on duplicates."""
