"""Reports as Markdown, for pull requests and tickets."""

from __future__ import annotations

from collections.abc import Iterable

from sidecar.audit.draft import gather
from sidecar.audit.report import Report
from sidecar.markdown import page


def markdown(reports: Iterable[Report]) -> str:
    """One section for each page; ends with a line feed."""
    return page("sidecar.audit", "report.md.jinja", reports=tuple(reports), gather=gather)
