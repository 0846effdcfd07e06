"""The audit: visits, scores, verdicts, reports, and the verb."""
