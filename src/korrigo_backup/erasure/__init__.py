"""The erasure ledger: erasures on request as keyed hashes, and the erasure of the same data after a restore."""
