"""Proofs: one folder per package of the product, and wire suites."""
