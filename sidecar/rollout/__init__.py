"""Rollout: evidence, promotion, the guard, notes. Must not know the data plane or the admin API."""
