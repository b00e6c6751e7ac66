"""The program around the verbs: their table, their help, and the JSON document of a run."""
