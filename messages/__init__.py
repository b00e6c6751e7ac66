"""The French texts of the command: found in the source, translated by people, compiled (`make messages`)."""
