"""The sidecar as its users run it: a real process in front of real services, seen from outside.

Harness: `wire` (raw HTTP), `processes` (children and waiting), `running` (one sidecar), `conftest`
(fixtures). Nothing here imports the product, except to name its command.
"""
