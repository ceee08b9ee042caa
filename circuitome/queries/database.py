"""The database as people hold it: one object with the verbs of the command line.

::

    with open_database("circuitome.db") as database:
        database.query("inputs", neuron="squeezenet1_1/features.3.expand3x3:17").to_pandas()
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.stores import Progress, Store, StoreError, open_store, outdated
from circuitome.queries.catalogue import find_query, library
from circuitome.queries.errors import QueryError, near
from circuitome.queries.lint import dangers
from circuitome.queries.query_file import Query
from circuitome.queries.rows import Rows
from circuitome.queries.values import bind

__all__ = ["DEFAULT_TIMEOUT", "Database", "open_database"]

DEFAULT_TIMEOUT: Final = 60.0
"""Seconds after which a query is stopped, if nothing else is said."""


@dataclass(frozen=True, slots=True)
class Database:
    """A database of connectomes, embedded or on a server; a context manager."""

    store: Store
    timeout: float | None = DEFAULT_TIMEOUT  # seconds for each query; none is no limit

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
        """Rows of a named query of the library, or of a ``.cypher`` file.

        ``limit`` is the query's own parameter where it has one, and cuts the rows where it has none; ``timeout`` in
        seconds; ``row_limit`` is how many rows are read at most; ``unsafe`` lets a file read other files and call procedures,
        never write. A parameter ``model`` that is not given is the only model in the database. Keys of neurons, layers and
        models must be there, and a key may leave the model out where there is only one.

        `QueryError` for an unknown query, parameter or key, each with near ones.

        >>> database.query("hubs", limit=5).to_pandas()  # doctest: +SKIP
        """
        query = find_query(name_or_file)
        if query.algorithm is None:
            self._refuse_dangers(query)
        database = self if timeout is None else Database(self.store, timeout)
        if limit is not None and query.parameter("limit") is None:
            row_limit = _whole(query, limit)
        bound = self._bound(query, parameters, limit)
        try:
            rows = database._answer(query, bound, most=row_limit, unsafe=unsafe)
        except StoreError as error:
            if query.name in library():
                raise
            raise QueryError(f"{os.fspath(name_or_file)}: {error}") from error
        values = [
            item
            for value in bound.values()
            for item in (value if isinstance(value, list) else [value])
        ]
        self._refuse_loading(values)  # a load may have begun since the parameters were looked up
        return rows

    def ask(self, name: str, **parameters: Any) -> Rows:
        """Rows of a library query whose parameters are known to be right: no look-ups, only defaults and types."""
        query = library()[name]
        return self._answer(query, bind(name, query.parameters, parameters))

    def models(self) -> list[dict[str, Any]]:
        """The models that are here, as rows of the `Model` table, whatever their state."""
        return self.store.models()

    def load(
        self,
        *bundles: Bundle | str | os.PathLike[str],
        replace: bool = False,
        progress: Progress | None = None,
    ) -> None:
        """Put bundles in, opened or named by their paths, replacing what the database has of the same models.

        With ``replace`` all that the database holds goes first; a database of an older schema needs that.
        """
        opened = [
            bundle if isinstance(bundle, Bundle) else Bundle.open(bundle) for bundle in bundles
        ]
        self.store.load(*opened, replace=replace, progress=progress)

    def drop(self, model: str) -> None:
        """Remove one model with everything that belongs to it; an error where it is not here."""
        self.store.drop(self._model_here(model, self.store.models()))

    def close(self) -> None:
        """Release the database; closing twice does nothing."""
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def model_key(self, model: str | None = None) -> str:
        """The key of a model that is here, wholly: the one named, or the only one. `QueryError` where that is none."""
        rows = self.store.models()
        if error := outdated(
            self.store.address, ((row["key"], row["schema_version"]) for row in rows)
        ):
            raise error
        return self._ready(self._model_here(model, rows), rows)

    def _model_here(self, model: str | None, rows: Sequence[Mapping[str, Any]]) -> str:
        names = [row["key"] for row in rows]
        listed = ", ".join(names)
        if not names:
            raise QueryError(
                f"{self.store.address}: the database holds no model; `circuitome load BUNDLE --db {self.store.address}` puts one in"
            )
        if model is None and len(names) > 1:
            raise QueryError(
                f"the database holds {len(names)} models ({listed}); name one: `--model MODEL`, or `-p model=MODEL` of a query"
            )
        if model is not None and model not in names:
            raise QueryError(
                f"no model {model!r} in the database; {near(model, names, otherwise=f'it holds {listed}')}"
            )
        return model if model is not None else names[0]

    def neuron_key(self, key: str) -> str:
        """The key of a neuron that is here; the model may be left out where there is only one."""
        return self._neuron_keys([key])[0]

    def layer_key(self, key: str) -> str:
        """The key of a layer that is here; the model may be left out where there is only one."""
        model, full = self._with_model(key)
        layers = self._layers(model)
        if full not in layers:
            raise QueryError(_unknown_layer("layer", key, model, full, layers))
        return full

    def family_key(self, key: str) -> str:
        """The key of a family that is here; the model may be left out where there is only one."""
        model, full = self._with_model(key)
        families = {row["family"] for row in self.ask("families", model=model)}
        if not families:
            raise QueryError(
                f"no family {key!r} in the database: {model} has none; `circuitome annotate BUNDLE` finds them"
            )
        if full not in families:
            short = [name.removeprefix(f"{model}/") for name in families]
            cure = near(
                full.removeprefix(f"{model}/"), short, otherwise="`circuitome families` lists them"
            )
            raise QueryError(f"no family {key!r} in the database; {cure}")
        return full

    def _answer(
        self,
        query: Query,
        parameters: Mapping[str, Any],
        *,
        most: int | None = None,
        unsafe: bool = False,
    ) -> Rows:
        if query.algorithm is not None:
            rows = query.algorithm(self, **parameters)
            return rows if most is None else rows.head(most)
        text = query.text_for(self.store.dialect)
        return Rows(
            self.store.run(text, parameters, timeout=self.timeout, most=most, unsafe=unsafe)
        )

    def _bound(
        self, query: Query, given: Mapping[str, Any], limit: int | str | None
    ) -> dict[str, Any]:
        values = dict(given)
        if limit is not None and query.parameter("limit") is not None:
            values["limit"] = limit
        if "model" not in values and query.parameter("model") is not None:
            values["model"] = self.model_key()
        bound = bind(query.name, query.parameters, values)
        for parameter in query.parameters:
            bound[parameter.name] = self._checked(
                query, parameter.name, parameter.type, bound[parameter.name]
            )
        return bound

    def _checked(self, query: Query, name: str, kind: str, value: Any) -> Any:
        """The value, with every key in it known to be there; and never a negative number of rows."""
        if name == "limit" and isinstance(value, int):
            return _whole(query, value)
        if kind == "model":
            return self.model_key(value)
        if kind == "layer":
            return self.layer_key(value)
        if kind == "neuron":
            return self.neuron_key(value)
        if kind == "family":
            return self.family_key(value)
        if kind == "list of neuron":
            if not value:
                raise QueryError(f"{query.name}: `{name}` is empty; give at least one neuron key")
            return self._neuron_keys(value)
        return value

    def _ready(self, model: str, rows: Sequence[Mapping[str, Any]]) -> str:
        state = next(row["state"] for row in rows if row["key"] == model)
        if state != "ready":
            raise QueryError(
                f"the model {model!r} is not wholly loaded (state {state!r}); where nobody is loading it now, load its bundle "
                f"again: `circuitome load BUNDLE --db {self.store.address}`"
            )
        return model

    def _refuse_loading(self, values: Iterable[Any]) -> None:
        """`QueryError` where one of the values is the key of a model that is being loaded, or of what belongs to it."""
        rows = self.store.models()
        names = [f"{row['key']}/" for row in rows if row["state"] != "ready"]
        for name in names:
            if any(isinstance(value, str) and f"{value}/".startswith(name) for value in values):
                self._ready(name[:-1], rows)

    def _neuron_keys(self, keys: list[str]) -> list[str]:
        found = {row["neuron"] for row in self.ask("look_up", neurons=keys)}
        full = [key if key in found else self._with_model(key)[1] for key in keys]
        self._refuse_loading(full)
        if missing := [key for key in full if key not in found]:
            found |= {row["neuron"] for row in self.ask("look_up", neurons=missing)}
        for key, whole in zip(keys, full, strict=True):
            if whole not in found:
                raise QueryError(self._unknown_neuron(key))
        return full

    def _with_model(self, key: str) -> tuple[str, str]:
        """The model that a key names, or the only one, and the whole key."""
        rows = self.store.models()
        names = [row["key"] for row in rows]
        if not names:
            self.model_key()
        named = [name for name in names if key.startswith(f"{name}/")]
        if named:
            return self._ready(max(named, key=len), rows), key
        if len(names) == 1:
            return self._ready(names[0], rows), f"{names[0]}/{key}"
        raise QueryError(
            f"no key {key!r} in the database: it begins with none of its models ({', '.join(names)}); "
            "write `model/layer:channel`"
        )

    def _layers(self, model: str) -> dict[str, int]:
        """Keys of a model's layers and their numbers of neurons."""
        return {row["layer"]: row["neurons"] for row in self.ask("layers", model=model)}

    def _unknown_neuron(self, key: str) -> str:
        model, full = self._with_model(key)
        layers = self._layers(model)
        layer, _, channel = full.rpartition(":")
        if full in layers:
            return f"no neuron {key!r} in the database: that is a layer; add a channel, 0 to {layers[full] - 1}: `{full}:0`"
        if layer not in layers:
            return _unknown_layer("neuron", key, model, layer or full, layers)
        return f"no neuron {key!r} in the database: {layer} has the channels 0 to {layers[layer] - 1}, not {channel!r}"

    def _refuse_dangers(self, query: Query) -> None:
        for problem in dangers(query.text_for(self.store.dialect), dialect=self.store.dialect):
            raise QueryError(f"{query.name}, line {problem.line}: {problem.message}")


def _unknown_layer(what: str, key: str, model: str, layer: str, layers: Mapping[str, int]) -> str:
    names = [name.removeprefix(f"{model}/") for name in layers]
    some = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
    cure = near(
        layer.removeprefix(f"{model}/"),
        names,
        otherwise=f"it has {some} (`circuitome query layers` lists them)",
    )
    return f"no {what} {key!r} in the database: {model} has no layer {layer.removeprefix(f'{model}/')!r}; {cure}"


def _whole(query: Query, limit: int | str | None) -> int:
    try:
        number = int(limit if limit is not None else 0)
    except ValueError:
        number = -1
    if number < 0:
        raise QueryError(f"{query.name}: `limit` cannot be {limit!r}; give a whole number from 0")
    return number


def open_database(
    address: str | os.PathLike[str],
    *,
    create: bool = False,
    timeout: float | None = DEFAULT_TIMEOUT,
) -> Database:
    """Open the database at ``address``: a file (embedded), or ``neo4j://``, ``bolt://``, ``neo4j+s://`` (server).

    ``create`` makes an embedded database where there is none; ``timeout`` is the default for queries, in seconds.
    """
    return Database(
        open_store(
            str(Path(address)) if isinstance(address, os.PathLike) else address, create=create
        ),
        timeout,
    )
