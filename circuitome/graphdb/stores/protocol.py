"""The protocol of stores: what each engine does for all others, its errors, and shared checks."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Protocol

import pyarrow as pa

from circuitome.errors import CircuitomeError
from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.cypher import CypherError, check_parameters, check_reading
from circuitome.graphdb.ddl import SchemaItem
from circuitome.graphdb.rows import ModelRow, Value
from circuitome.graphdb.schema import SCHEMA_VERSION

__all__ = [
    "NO_PARAMETERS",
    "Amendment",
    "OutdatedError",
    "Progress",
    "Removal",
    "Store",
    "StoreError",
    "check_once",
    "check_query",
    "no_such_model",
    "outdated",
    "waiting",
]

NO_PARAMETERS: Final[Mapping[str, Value]] = MappingProxyType({})
_PATIENCE: Final = 2.0  # seconds of waiting before it is said
_log = logging.getLogger(__package__)

Progress = Callable[[str, int, int], None]
"""Called with what is being done, rows done, rows in all."""


class StoreError(CircuitomeError):
    """A database that is not there, is not ours, or refuses a query."""


class OutdatedError(StoreError):
    """A database that was made with another schema; ``found`` says with which, ``wanted`` what
    this program has.
    """

    def __init__(self, where: str, *, found: str, wanted: str) -> None:
        super().__init__(
            f"{where}: made with another schema ({found}; this program has {wanted}); "
            f"`circuitome load BUNDLE... --replace --db {where}` makes it anew"
        )
        self.found = found
        self.wanted = wanted


@dataclass(frozen=True, slots=True)
class Removal:
    """Rows of one table that are to go: those that match everything that is given, each a
    column and its values.
    """

    table: str  # a node or relationship table of the schema; nodes go with their relationships
    where: Mapping[str, Sequence[Value]] = field(
        default_factory=dict
    )  # properties of the node or of the relationship itself
    source: Mapping[str, Sequence[Value]] = field(
        default_factory=dict
    )  # of a relationship: properties of the node it leaves
    target: Mapping[str, Sequence[Value]] = field(default_factory=dict)  # of the node it enters


@dataclass(frozen=True, slots=True)
class Amendment:
    """A change to what models are here: rows that go, then rows that come, all or nothing."""

    remove: tuple[Removal, ...] = ()
    insert: Mapping[str, pa.Table] = field(
        default_factory=dict
    )  # table -> rows; the key of a node may be there already


class Store(AbstractContextManager["Store"], Protocol):
    """A database of connectomes.

    Two engines, one contract: same bundle in, same rows out.
    """

    address: str
    """What opens it again, for messages."""

    dialect: str
    """Name of the Cypher dialect, ``kuzu`` or ``neo4j``: a query file ``name.<dialect>.cypher``
    wins over ``name.cypher``.
    """

    def load(
        self, *bundles: Bundle, replace: bool = False, progress: Progress | None = None
    ) -> None:
        """Put bundles in, replacing what the database has of the same models; ``ready`` only when
        all is in.

        With ``replace`` all that the database holds goes first, whatever its schema.
        `OutdatedError` without, where it was made with another schema.
        """
        ...

    def run(
        self,
        cypher: str,
        parameters: Mapping[str, Value] = ...,
        *,
        timeout: float | None = None,
        most: int | None = None,
        unsafe: bool = False,
    ) -> pa.Table:
        """Rows of a reading query; ``timeout`` in seconds, and of its rows the first ``most``.

        It cannot write, and its parameters are checked both ways. ``unsafe`` lets it read files and
        call procedures.
        """
        ...

    def models(self) -> list[ModelRow]:
        """The models that are here, as rows of the `Model` table, whatever their state."""
        ...

    def amend(self, change: Amendment) -> None:
        """Change what belongs to no bundle, such as saved motifs and what was found between
        models; all or nothing.
        """
        ...

    def drop(self, model: str) -> None:
        """Remove one model with everything that belongs to it; `StoreError` where it is not
        here.
        """
        ...

    def inspect(self) -> list[SchemaItem]:
        """What the schema declares against what the database has."""
        ...

    def repair(self) -> list[SchemaItem]:
        """Make what is missing and drop what is outdated, no data touched; what `inspect` says
        afterwards.
        """
        ...

    def close(self) -> None:
        """Release the database; closing twice does nothing."""
        ...


def check_once(bundles: Sequence[Bundle]) -> None:
    """`BundleError` where one of them is damaged, `StoreError` where two hold the same model."""
    models = [bundle.model for bundle in bundles]
    if twice := {model for model in models if models.count(model) > 1}:
        raise StoreError(
            f"two bundles hold the model {min(twice)!r}; load one, or extract it under another "
            "--name"
        )
    for bundle in bundles:
        bundle.check()


def check_query(cypher: str, parameters: Mapping[str, Value], *, where: str, unsafe: bool) -> None:
    """`StoreError` where a query does more than read, or its parameters do not fit; ``where``
    names the database.
    """
    try:
        check_reading(cypher, unsafe=unsafe)
        check_parameters(cypher, parameters)
    except CypherError as error:
        raise StoreError(f"{where}: {error}") from None


def no_such_model(where: str, model: str, known: Sequence[str]) -> StoreError:
    """The error for a model that is not here; ``known`` are those that are."""
    return StoreError(f"{where}: no model {model!r}; it has {', '.join(known) or 'none'}")


def outdated(where: str, versions: Iterable[tuple[str, int | None]]) -> OutdatedError | None:
    """The error for models of another schema, given as key and version; none where all are of
    this one.
    """
    old = [f"{model}: version {number}" for model, number in versions if number != SCHEMA_VERSION]
    if not old:
        return None
    return OutdatedError(where, found=", ".join(old), wanted=f"version {SCHEMA_VERSION}")


@contextlib.contextmanager
def waiting(where: str) -> Iterator[None]:
    """Around what blocks while another program writes: says so after two seconds, as a warning
    in the log.
    """
    timer = threading.Timer(
        _PATIENCE,
        _log.warning,
        ["%s: another program writes; waiting until it is done (Ctrl-C gives up)", where],
    )
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
