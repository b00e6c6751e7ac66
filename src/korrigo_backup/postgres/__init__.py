"""The PostgreSQL server of a site: access, snapshots, digests, whole databases."""
