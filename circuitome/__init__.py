"""Circuitome: the connectome of a trained convolutional network, in a graph database.

Example::

    import circuitome

    network = circuitome.Network(model, name="net", input_shape=(3, 64, 64))
    bundle = circuitome.extract(network, output="net.circuitome")
    with circuitome.open_store("circuitome.db", create=True) as database:
        database.load(bundle)
        database.query("hubs", limit=5).to_pandas()

Every command that reads or writes has a function of the same name. A name is imported when it is
first asked for, so that ``import circuitome`` itself loads neither torch nor a database.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from circuitome.extract import Network, Options, Pruning, extract, verify
    from circuitome.extract.annotate.pipeline import annotate
    from circuitome.graphdb.bundle import Bundle
    from circuitome.graphdb.export import Selection, to_networkx
    from circuitome.notebook import (
        check,
        circuit,
        compare,
        drop,
        export,
        families,
        load,
        models,
        motifs,
        neuron,
        query,
        schema,
    )
    from circuitome.queries.database import open_database as open_store

__all__ = [
    "Bundle",
    "Network",
    "Options",
    "Pruning",
    "Selection",
    "__version__",
    "annotate",
    "check",
    "circuit",
    "compare",
    "drop",
    "export",
    "extract",
    "families",
    "load",
    "models",
    "motifs",
    "neuron",
    "open_store",
    "query",
    "schema",
    "to_networkx",
    "verify",
]

_HOMES = {
    "Bundle": "circuitome.graphdb.bundle",
    "Network": "circuitome.extract",
    "Options": "circuitome.extract",
    "Pruning": "circuitome.extract",
    "Selection": "circuitome.graphdb.export",
    "annotate": "circuitome.extract.annotate.pipeline",
    "extract": "circuitome.extract",
    "open_store": "circuitome.queries.database",
    "to_networkx": "circuitome.graphdb.export",
    "verify": "circuitome.extract",
} | dict.fromkeys(
    (
        *("check", "circuit", "compare", "drop", "export", "families", "load"),
        *("models", "motifs", "neuron", "query", "schema"),
    ),
    "circuitome.notebook",
)

try:
    __version__ = version("circuitome")
except PackageNotFoundError:  # run from its folder, without installation
    __version__ = "0+unknown"


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'circuitome' has no attribute {name!r}")
    home = import_module(_HOMES[name])
    if (
        name == "extract"
    ):  # the package of that name is callable: function and package cannot shadow each other
        return home
    globals()[name] = value = getattr(home, "open_database" if name == "open_store" else name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
