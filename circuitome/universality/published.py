"""Features that others have published, with their addresses in other networks: curated entries
beside the computed ones.

Read are two files of a folder of facts published with the Circuits thread:
``universality_features.json``, units of seven networks that the multimodal neurons' authors call
one feature, and ``high_low_frequency.json``, high-low frequency detectors of four networks with the
depth of their layer (*High-Low Frequency Detectors*, 2021). Addresses are written ``network
layer:unit`` as published; none of these networks need be in the database.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import chain, starmap
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final, NotRequired, TypedDict

import pyarrow as pa

from circuitome.errors import CircuitomeError
from circuitome.graphdb.schema import arrow_schema
from circuitome.graphdb.stores.protocol import Amendment, Removal

if TYPE_CHECKING:
    from circuitome.queries.database import Database

__all__ = ["FILES", "FeatureRow", "PublishedError", "published_features", "record_published"]

FILES: Final = ("universality_features.json", "high_low_frequency.json")
"""What is read of the folder."""
SOURCE: Final = "curated"


class PublishedError(CircuitomeError):
    """A folder that does not hold the published features, or holds them damaged."""


def published_features(folder: str | os.PathLike[str]) -> list[FeatureRow]:
    """The features of a folder as rows of ``Feature``, by their keys; `PublishedError` if a
    file is missing or damaged.
    """
    units, frequency = (_read(Path(folder) / name) for name in FILES)
    try:
        high_low = _high_low(frequency["other_models"]["similar_directions"])
        return sorted([*_of_units(units["features"]), high_low], key=lambda row: row["key"])
    except (KeyError, TypeError, AttributeError, ValueError, ZeroDivisionError) as error:
        raise PublishedError(
            f"{folder}: its features are not written as published ({type(error).__name__}: "
            f"{error}); fetch the folder anew"
        ) from error


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise PublishedError(
            f"{path}: cannot be read ({error.strerror}); name the folder that holds it"
        ) from error
    except ValueError as error:
        raise PublishedError(f"{path}: not JSON ({error}); fetch the folder anew") from error


class FeatureRow(TypedDict):
    """A row of ``Feature``."""

    key: str
    name: str
    models: int
    size: int
    source: str
    addresses: list[str]
    depths: NotRequired[list[float]]
    depth: NotRequired[float]


def _of_units(published: Any) -> Iterator[FeatureRow]:
    """Features by units of networks; no depths were published."""
    for key, feature in published.items():
        networks = {network: units for network, units in feature["model_features"].items() if units}
        addresses = list(chain.from_iterable(starmap(_addresses, networks.items())))
        if addresses:  # one entry is empty
            yield _row(f"multimodal/{key}", feature["name"], len(networks), addresses)


def _addresses(network: str, units: Any) -> list[str]:
    return [f"{network} {unit['op']}:{int(unit['unit'])}" for unit in units]


def _high_low(networks: Any) -> FeatureRow:
    """High-low frequency detectors, with the depth of the layer that holds them."""
    addresses, depths = [], []
    for network in networks:
        layer, layers = network["depthRatio"]
        place = f"{network['name']} {network['layerName']}"
        addresses += [f"{place}:{int(unit)}" for unit in network["units"]]
        depths += [layer / layers] * len(network["units"])
    key, name = "circuits/high-low-frequency", "High-Low Frequency Detectors"
    row = _row(key, name, len(networks), addresses)
    return {**row, "depths": depths, "depth": median(depths)}


def _row(key: str, name: str, models: int, addresses: list[str]) -> FeatureRow:
    return {
        "key": key,
        "name": name,
        "models": models,
        "size": len(addresses),
        "source": SOURCE,
        "addresses": addresses,
    }


def record_published(database: Database, folder: str | os.PathLike[str]) -> list[FeatureRow]:
    """Put the features of a folder into a database, in place of all curated ones that it has;
    all or nothing.
    """
    rows = published_features(folder)
    table = pa.Table.from_pylist(rows, schema=arrow_schema("Feature"))
    database.store.amend(
        Amendment(remove=(Removal("Feature", {"source": [SOURCE]}),), insert={"Feature": table})
    )
    return rows
