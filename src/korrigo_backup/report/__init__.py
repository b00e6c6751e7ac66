"""Reports of drills and of a period, for people and auditors: the journal and the status in two languages."""
