"""Replicas that decide together, over a real Redis."""
