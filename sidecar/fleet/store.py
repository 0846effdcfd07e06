"""What comes of asking the store, and its one error, for who may lack the package `redis`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias


class StoreError(Exception):
    """The store cannot be used now; the text says why, without the URL and its password."""


class StoreState(NamedTuple):
    """What a replica asks for all the time."""

    version: int
    """Of the fleet's decision; 0 = the store holds none."""
    mark: str
    """Which decision of this version it is (`Decision.mark`)."""
    asked: float
    """When all replicas were last asked for their evidence, by the store's clock; 0 = never."""
    secret: str
    """With which replicas sign canaries; "" = the store holds none."""


Shared: TypeAlias = Mapping[str, tuple[float, str]]
"""By replica: when it last said what it saw, by the store's clock, and what it said."""
