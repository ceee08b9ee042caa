"""Look-up of keys: what a person gives becomes the whole key of something that a database holds.

A key may leave the model out if the database holds only one. Every look-up raises `QueryError` for
a key that is not there, with near ones, and for a key of a model that is not wholly loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from circuitome.graphdb.stores.protocol import Store, outdated
from circuitome.queries.asks import Asks
from circuitome.queries.errors import QueryError, near

__all__ = ["Keys"]

ModelRow = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one database."""

    database: Asks
    store: Store

    def model(self, model: str | None = None) -> str:
        """The key of a model that is wholly loaded: the one named, or the only one."""
        rows = self.store.models()
        versions = [(row["key"], row["schema_version"]) for row in rows]
        if error := outdated(self.store.address, versions):
            raise error
        return self._ready(self.model_here(model, rows), rows)

    def model_here(self, model: str | None = None, rows: Sequence[ModelRow] | None = None) -> str:
        """The key of a model that is there, in whatever state; ``rows`` are the store's models."""
        names = [str(row["key"]) for row in (self.store.models() if rows is None else rows)]
        if model in names:
            return model
        address, listed = self.store.address, ", ".join(names)
        if not names:
            raise QueryError(
                f"{address}: the database holds no model; "
                f"`circuitome load BUNDLE --db {address}` puts one in"
            )
        if model is not None:
            cure = near(model, names, otherwise=f"it holds {listed}")
            raise QueryError(f"no model {model!r} in the database; {cure}")
        if len(names) > 1:
            raise QueryError(
                f"the database holds {len(names)} models ({listed}); "
                "name one: `--model MODEL`, or `-p model=MODEL` of a query"
            )
        return names[0]

    def neuron(self, key: str) -> str:
        """The whole key of a neuron."""
        return self.neurons([key])[0]

    def neurons(self, keys: Sequence[str]) -> list[str]:
        """The whole keys of neurons, in their order."""
        found = self._found(keys)
        whole = [key if key in found else self._with_model(key)[1] for key in keys]
        self.refuse_loading(whole)
        if missing := [key for key in whole if key not in found]:
            found |= self._found(missing)
        for given, key in zip(keys, whole, strict=True):
            if key not in found:
                self._refuse_neuron(given)
        return whole

    def layer(self, key: str) -> str:
        """The whole key of a layer."""
        model, whole = self._with_model(key)
        layers = self._layers(model)
        if whole not in layers:
            raise QueryError(_unknown_layer("layer", key, model, whole, layers))
        return whole

    def family(self, key: str) -> str:
        """The whole key of a family."""
        model, whole = self._with_model(key)
        families = {row["family"] for row in self.database.ask("families", model=model)}
        if not families:
            raise QueryError(
                f"no family {key!r} in the database: {model} has none; "
                "`circuitome annotate BUNDLE` finds them"
            )
        if whole not in families:
            short = [name.removeprefix(f"{model}/") for name in families]
            otherwise = "`circuitome families` lists them"
            cure = near(whole.removeprefix(f"{model}/"), short, otherwise=otherwise)
            raise QueryError(f"no family {key!r} in the database; {cure}")
        return whole

    def refuse_loading(self, values: Iterable[object]) -> None:
        """`QueryError` if a value is the key of something in a model that is being loaded."""
        rows = self.store.models()
        keys = [f"{value}/" for value in values if isinstance(value, str)]
        for row in rows:
            model = str(row["key"])
            if any(key.startswith(f"{model}/") for key in keys):
                self._ready(model, rows)

    def _found(self, keys: Sequence[str]) -> set[str]:
        return {row["neuron"] for row in self.database.ask("look_up", neurons=list(keys))}

    def _ready(self, model: str, rows: Sequence[ModelRow]) -> str:
        state = next(row["state"] for row in rows if row["key"] == model)
        if state != "ready":
            raise QueryError(
                f"the model {model!r} is not wholly loaded (state {state!r}); "
                "if nobody is loading it now, load its bundle again: "
                f"`circuitome load BUNDLE --db {self.store.address}`"
            )
        return model

    def _with_model(self, key: str) -> tuple[str, str]:
        """The model that a key names, or the only one, and the whole key."""
        rows = self.store.models()
        names = [str(row["key"]) for row in rows]
        named = [name for name in names if key.startswith(f"{name}/")]
        if named:
            return self._ready(max(named, key=len), rows), key
        if len(names) == 1:
            return self._ready(names[0], rows), f"{names[0]}/{key}"
        if not names:
            self.model()
        raise QueryError(
            f"no key {key!r} in the database: it begins with none of its models "
            f"({', '.join(names)}); write `model/layer:channel`"
        )

    def _layers(self, model: str) -> dict[str, int]:
        """Keys of a model's layers and their numbers of neurons."""
        return {row["layer"]: row["neurons"] for row in self.database.ask("layers", model=model)}

    def _refuse_neuron(self, key: str) -> NoReturn:
        model, whole = self._with_model(key)
        layers = self._layers(model)
        layer, _, channel = whole.rpartition(":")
        where = f"no neuron {key!r} in the database: "
        if whole in layers:
            channels = f"add a channel, 0 to {layers[whole] - 1}: `{whole}:0`"
            raise QueryError(f"{where}that is a layer; {channels}")
        if layer not in layers:
            raise QueryError(_unknown_layer("neuron", key, model, layer or whole, layers))
        raise QueryError(
            f"{where}{layer} has the channels 0 to {layers[layer] - 1}, not {channel!r}"
        )


def _unknown_layer(what: str, key: str, model: str, layer: str, layers: Iterable[str]) -> str:
    names = [name.removeprefix(f"{model}/") for name in layers]
    short = layer.removeprefix(f"{model}/")
    some = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
    cure = near(short, names, otherwise=f"it has {some} (`circuitome query layers` lists them)")
    return f"no {what} {key!r} in the database: {model} has no layer {short!r}; {cure}"
