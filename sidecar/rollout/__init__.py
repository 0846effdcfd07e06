"""Rollout: evidence, promotion, the guard, notes."""
