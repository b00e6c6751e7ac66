"""Values of live rows that are put back to those of a backup, column by column or a table as a whole."""
