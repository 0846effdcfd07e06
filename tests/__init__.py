"""Proofs: one folder per room of the product, wire suites, and the benchmark."""
