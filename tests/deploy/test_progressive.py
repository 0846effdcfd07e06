"""What rollout controllers ask: each query, variables filled in, gives one number of a real
Prometheus; the schema holds.
"""

import pytest

from tests.deploy.queries import Named, controllers, progressive_queries
from tests.exporting.by_node import asked


def test_the_analysis_template_passes_its_schema():
    """As the controller's own custom resource definition says."""
    assert (
        asked("@kubernetes-models/argo-rollouts", objects=controllers("analysistemplate.yaml"))
        == []
    )


@pytest.mark.parametrize("query", progressive_queries(), ids=lambda query: query.name)
def test_queries_name_metrics_and_labels_that_there_are(query: Named):
    """All variables are filled in; metrics and labels are those of the table, or Prometheus's
    own.
    """
    from sidecar.telemetry.metric_table import METRICS

    assert "{{" not in query.text
    found = list(query.selectors())
    assert found
    for metric, matchers in found:
        wanted = {label for label, value in matchers if not value.startswith("|")}  # | = or none
        assert wanted <= {*METRICS[metric].labels, "job"}


def test_the_gate_counts_the_same():
    """The number of judged responses is of the same series as that of `sidecar evidence`."""
    from sidecar.rollout.queries import evaluated

    judged = next(query for query in progressive_queries() if query.name == "Argo judged")
    ours = Named("ours", evaluated("release", "report-only", "5m", 'job="shop"'))

    def series(query: Named) -> set[tuple[str, frozenset[tuple[str, str]]]]:
        return {(metric, frozenset(matchers)) for metric, matchers in query.selectors()}

    assert series(judged) == series(ours)
