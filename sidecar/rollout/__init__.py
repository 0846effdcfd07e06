"""The rollout: capture, evidence, promotion, the guard, the note. Must not know the data plane
or the admin API.
"""
