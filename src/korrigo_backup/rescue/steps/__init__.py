"""Steps that undelete, revert and the restore of a table share."""
