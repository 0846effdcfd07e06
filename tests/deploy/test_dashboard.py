"""The dashboard: importable anywhere, readable, and without holes."""

from itertools import combinations

import pytest

from sidecar.telemetry.metric_table import METRICS
from tests.deploy.queries import annotation_queries, dashboard, panel_queries, panels, rule_queries

SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def test_it_has_a_stable_name_and_asks_for_its_data_source():
    """The uid is fixed; the data source is the first variable, and every panel, query and
    annotation uses it.
    """
    board = dashboard()
    assert board["uid"] == "header-sidecar"
    first = board["templating"]["list"][0]
    assert (first["name"], first["type"], first["query"]) == (
        "datasource",
        "datasource",
        "prometheus",
    )
    for item in (*panels(), *(target for panel in panels() for target in panel["targets"])):
        assert item["datasource"] == SOURCE
    ours = [item for item in board["annotations"]["list"] if not item.get("builtIn")]
    assert {item["name"] for item in ours} >= {"Revision", "Mode", "Rollback"}
    assert all(item["datasource"] == SOURCE and item["enable"] for item in ours)


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_each_panel_explains_itself(panel):
    """A panel has a description, a unit, a legend for each of several lines, and keeps to the
    chosen namespace, job and instance.
    """
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    for target in panel["targets"]:
        assert target["legendFormat"] or panel["type"] in ("table", "stat")
        for variable in ("namespace", "job", "instance"):
            assert target["expr"].count(f'{variable}=~"${variable}"') >= 1
        assert "[5m]" not in target["expr"], (
            "a fixed interval hides or smears what is shown at another zoom"
        )


def test_panels_have_ids_of_their_own_and_do_not_overlap():
    """Ids are unique, and no two panels share a cell of the 24 columns."""
    board = dashboard()["panels"]
    assert len({panel["id"] for panel in board}) == len(board)
    cells = {
        panel["id"]: {
            (column, line)
            for column in range(
                panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"]
            )
            for line in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
        }
        for panel in board
    }
    assert all(column < 24 for taken in cells.values() for column, _ in taken)
    assert not any(cells[one] & cells[other] for one, other in combinations(cells, 2))


def test_no_metric_is_left_in_the_dark():
    """Every metric of the table is shown on a panel or watched by a rule, unless nothing counts
    it yet.
    """
    seen = {
        name
        for query in (*panel_queries(), *rule_queries(), *annotation_queries())
        for name, _ in query.selectors()
    }
    data = {name.removesuffix("_bucket") for name in seen}
    assert set(METRICS) - data == set()
