"""Method 2: the Django application that backs up and restores a site from inside, row by row."""
