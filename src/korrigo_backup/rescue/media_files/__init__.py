"""Single files of the media: chosen by name, brought back, and the undo of that."""
