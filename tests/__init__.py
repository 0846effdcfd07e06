"""Proofs: one folder per package of the product, wire suites, and the benchmark."""
