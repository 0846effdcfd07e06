"""How long a test waits for what must happen."""

PATIENCE = 50.0
"""Seconds after which it counts as never. Long, for a machine with many neighbours: only a failing
test waits so long. Shorter than a minute, to which tests set the timeouts that must not come into
play.
"""
