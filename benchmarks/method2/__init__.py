"""Method 2 against Korrigo's former command and Django's own dumpdata and loaddata."""
