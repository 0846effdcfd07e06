"""Write every golden text anew. Knows nothing else."""

from tests.golden import POLICIES, outcome

for policy in POLICIES:
    policy.with_suffix(".txt").write_text(outcome(policy), "utf-8")
