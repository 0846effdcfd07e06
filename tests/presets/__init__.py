"""Proofs of the shipped presets: what each says, and what becomes of real responses."""
