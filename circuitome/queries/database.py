"""The database for its users: the verbs of the command line as one object.

::

    with open_database("circuitome.db") as database:
        rows = database.query("inputs", neuron="squeezenet1_1/features.3.expand3x3:17")
        rows.to_pandas()
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.rows import ModelRow
from circuitome.graphdb.schema import EDGE_TYPES, WEIGHTED
from circuitome.graphdb.stores.opening import open_store
from circuitome.graphdb.stores.protocol import Progress, Store, StoreError, Value
from circuitome.graphdb.thinning import thinned
from circuitome.queries.catalogue import find_query, library
from circuitome.queries.errors import QueryError
from circuitome.queries.keys import Keys
from circuitome.queries.lint import dangers
from circuitome.queries.query_file import Query
from circuitome.queries.rows import Rows
from circuitome.queries.values import bind, rows_at_most

__all__ = ["DEFAULT_TIMEOUT", "Database", "Loaded", "open_database"]

DEFAULT_TIMEOUT: Final = 60.0
"""Seconds after which a query is stopped, unless the caller names others."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load put in of one bundle."""

    model: str
    neurons: int
    edges: int
    """Signed ones, `EXCITES` and `INHIBITS`."""
    left_out: int
    """Edges of all kinds whose share was too small."""

    @classmethod
    def of(cls, bundle: Bundle, chosen: Bundle) -> Loaded:
        """Of a bundle, and of what was chosen of it."""
        left_out = sum(bundle.rows(table) - chosen.rows(table) for table in WEIGHTED)
        edges = sum(map(chosen.rows, EDGE_TYPES))
        return cls(bundle.model, bundle.rows("Neuron"), edges, left_out)


@dataclass(frozen=True, slots=True)
class Database(AbstractContextManager["Database"]):
    """A database of connectomes, embedded or on a server; a context manager."""

    store: Store
    timeout: float | None = DEFAULT_TIMEOUT
    """Seconds for each query; None is no limit."""

    def query(
        self,
        name_or_file: str | os.PathLike[str],
        /,
        *,
        limit: int | str | None = None,
        timeout: float | None = None,
        row_limit: int | None = None,
        unsafe: bool = False,
        **parameters: Any,
    ) -> Rows:
        """Rows of a named query of the library, of a ``.cypher`` file, or of Cypher itself.

        ``limit`` is the query's own parameter if it has one, and else cuts the rows; ``timeout`` in
        seconds; ``row_limit`` is the maximum number of rows that are read; ``unsafe`` lets a file
        read other files and call procedures, never write. The parameter ``model`` may be left out
        if the database holds one model. Keys of neurons, layers and models must be there; a key may
        leave the model out if there is only one.

        Raises:
            QueryError: for an unknown query, parameter or key, each with near ones.

        >>> database.query("hubs", limit=5).to_pandas()  # doctest: +SKIP
        """
        query = find_query(name_or_file)
        if query.algorithm is None:
            self._refuse_dangers(query)
        if limit is not None and query.parameter("limit") is None:
            row_limit = rows_at_most(query.name, limit)
        bound = self._bound(query, parameters, limit)
        database = self if timeout is None else Database(self.store, timeout)
        try:
            rows = database._answer(query, bound, most=row_limit, unsafe=unsafe)
        except StoreError as error:
            if query.name in library():
                raise
            where = query.name if query.topic == "text" else os.fspath(name_or_file)
            raise QueryError(f"{where}: {error}") from error
        # a load may have begun since the parameters were looked up
        self._keys.refuse_loading(_flat(bound.values()))
        return rows

    def ask(self, name: str, **parameters: Any) -> Rows:
        """Rows of a library query whose parameters are known to be right; no key is looked up."""
        query = library()[name]
        return self._answer(query, bind(name, query.parameters, parameters))

    def models(self) -> list[ModelRow]:
        """The models that are here, as rows of the `Model` table, in whatever state."""
        return self.store.models()

    def load(
        self,
        *bundles: Bundle | str | os.PathLike[str],
        replace: bool = False,
        least_share: float | None = None,
        progress: Progress | None = None,
    ) -> list[Loaded]:
        """Put bundles in, opened or named by their paths, each in the place of the same model.

        ``replace`` first removes all that the database holds; a database of an older schema needs
        that. ``least_share`` leaves out every edge with a smaller share of its receiver's squared
        fan-in norm.
        """
        opened = [one if isinstance(one, Bundle) else Bundle.open(one) for one in bundles]
        chosen = opened
        with ExitStack() as stack:
            if least_share is not None:
                chosen = [stack.enter_context(thinned(one, least_share)) for one in opened]
            self.store.load(*chosen, replace=replace, progress=progress)
        return list(map(Loaded.of, opened, chosen))

    def drop(self, model: str) -> None:
        """Remove one model with everything that belongs to it.

        Raises:
            QueryError: if it is not here.
        """
        self.store.drop(self._keys.model_here(model))

    def close(self) -> None:
        """Release the database; closing twice does nothing."""
        self.store.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def model_key(self, model: str | None = None) -> str:
        """The key of a model that is wholly loaded: the one named, or the only one."""
        return self._keys.model(model)

    def exported(self, model: str | None) -> str | None:
        """The key of the model that is written for other programs; None for all that are there.

        Raises:
            QueryError: one of them is not wholly loaded, or none is there.
        """
        if model is not None:
            return self.model_key(model)
        for key in [row["key"] for row in self.models()] or [None]:
            self.model_key(key)
        return None

    def neuron_key(self, key: str) -> str:
        """The whole key of a neuron; the model may be left out if there is only one."""
        return self._keys.neuron(key)

    def layer_key(self, key: str) -> str:
        """The whole key of a layer; the model may be left out if there is only one."""
        return self._keys.layer(key)

    def family_key(self, key: str) -> str:
        """The whole key of a family; the model may be left out if there is only one."""
        return self._keys.family(key)

    @property
    def _keys(self) -> Keys:
        return Keys(self, self.store)

    def _answer(
        self,
        query: Query,
        parameters: Mapping[str, Value],
        *,
        most: int | None = None,
        unsafe: bool = False,
    ) -> Rows:
        if query.algorithm is not None:
            rows = query.algorithm(self, **parameters)
            return rows if most is None else rows.head(most)
        text = query.text_for(self.store.dialect)
        table = self.store.run(text, parameters, timeout=self.timeout, most=most, unsafe=unsafe)
        return Rows(table)

    def _bound(
        self, query: Query, given: Mapping[str, object], limit: int | str | None
    ) -> dict[str, Value]:
        """Values of all parameters, every key among them looked up."""
        values = dict(given)
        if limit is not None and query.parameter("limit") is not None:
            values["limit"] = limit
        if "model" not in values and query.parameter("model") is not None:
            values["model"] = self.model_key()
        bound = bind(query.name, query.parameters, values)
        for parameter in query.parameters:
            value = bound[parameter.name]
            bound[parameter.name] = self._checked(query, parameter.name, parameter.type, value)
        return bound

    def _checked(self, query: Query, name: str, kind: str, value: Any) -> Any:
        """The value, with every key in it looked up, and never a negative number of rows."""
        if name == "limit" and isinstance(value, int):
            return rows_at_most(query.name, value)
        if kind == "list of neuron" and not value:
            raise QueryError(f"{query.name}: `{name}` is empty; give at least one neuron key")
        keys = self._keys
        look_ups = {
            "model": keys.model,
            "layer": keys.layer,
            "neuron": keys.neuron,
            "family": keys.family,
            "list of neuron": keys.neurons,
        }
        return look_ups[kind](value) if kind in look_ups else value

    def _refuse_dangers(self, query: Query) -> None:
        dialect = self.store.dialect
        for problem in dangers(query.text_for(dialect), dialect=dialect):
            raise QueryError(f"{query.name}, line {problem.line}: {problem.message}")


def _flat(values: Iterable[object]) -> Iterator[object]:
    for value in values:
        yield from value if isinstance(value, list) else [value]


def open_database(
    address: str | os.PathLike[str],
    *,
    create: bool = False,
    timeout: float | None = DEFAULT_TIMEOUT,
    memory: str | None = None,
) -> Database:
    """Open a database: a file (embedded), or ``neo4j://``, ``bolt://``, ``neo4j+s://`` (server).

    ``create`` makes an embedded database if there is none; ``timeout`` is the default for queries,
    in seconds. ``memory`` is what the embedded engine may have, such as ``8GiB``; otherwise
    ``CIRCUITOME_MEMORY``, or half of what is free.
    """
    place = str(Path(address)) if isinstance(address, os.PathLike) else address
    return Database(open_store(place, create=create, memory=memory), timeout)
