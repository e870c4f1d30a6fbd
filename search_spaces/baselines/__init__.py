"""Duplicates networks to compare with: search spaces with nothing left to sample."""
