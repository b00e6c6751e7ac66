"""The load of a fixture into the database."""
