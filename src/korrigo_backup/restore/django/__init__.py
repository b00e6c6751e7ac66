"""The restore of a Django backup."""
