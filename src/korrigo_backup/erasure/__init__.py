"""The erasure ledger: what was erased on request, as keyed hashes, and its erasure from restored data."""
