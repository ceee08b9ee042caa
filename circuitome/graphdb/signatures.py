"""The file of response signatures in a bundle: what every neuron says to pictures that all networks
are shown.

``annotations/signatures.safetensors`` holds one int8 array ``(C, samples)`` a layer and *copy*:
``net/LAYER`` of the network itself, ``twin0/LAYER`` and so on of its null networks. Rows have mean
0; their length means nothing, so each is scaled to fill int8 (which costs a correlation about
0.001). A row of zeros is a neuron without a signature: silent, or saying no more than the picture's
plain brightness, colour and contrast. The samples of one picture stand together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NotRequired, Self, TypedDict

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from circuitome.graphdb.bundle import Bundle, BundleError

__all__ = ["FILE", "NETWORK", "NULL", "Signatures", "of_today", "packed", "unit_rows"]

FILE: Final = "signatures.safetensors"
_ABOUT: Final = "about"
NETWORK: Final = "net"
"""Name of the copy that is the network itself; the others are null networks."""
NULL: Final = "smooth_twins"
"""What the null networks are: every filter replaced by one as smooth."""


class _LayerRow(TypedDict):
    """What is read of a row of `Layer`."""

    key: str
    channels: int


class _About(TypedDict):
    """What the file says of itself, as far as it is read."""

    per_picture: int
    null: NotRequired[str]


@dataclass(frozen=True, slots=True)
class Signatures:
    """Signatures of one network, with what comparing needs to know of its layers; arrays are
    read on demand.
    """

    bundle: Bundle
    sha256: str  # of everything that defines the pictures and how they are read
    per_picture: int  # samples of one picture
    twins: tuple[str, ...]  # names of the copies that are null networks
    layers: tuple[str, ...]  # names, in the order of computation
    starts: np.ndarray  # (layers + 1,) int64: first neuron of every layer
    depth: np.ndarray  # (layers,) relative depth
    field: np.ndarray  # (layers,) height of the theoretical receptive field, input pixels
    # (neurons,) how alike a neuron's signature is to that of pictures a little displaced; NaN: none
    reliability: np.ndarray

    @classmethod
    def open(cls, bundle: Bundle) -> Self:
        """The signatures of a bundle; `BundleError` with the cure where it has none."""
        known = bundle.manifest.model.get("signatures_sha256")
        if FILE not in bundle.attached or not known:
            raise BundleError(
                f"{bundle.path}: has no response signatures; `circuitome annotate {bundle.path} "
                "--parts signatures` makes them"
            )
        about, names = _described(bundle.attached_path(FILE))
        if about.get("null") != NULL:
            raise BundleError(
                f"{bundle.path}: its signatures are compared with an older kind of null networks; "
                f"`circuitome annotate {bundle.path} --parts signatures` makes them anew"
            )
        ordered = sorted(bundle.table("Layer").to_pylist(), key=lambda row: row["index"])
        layers = [row for row in ordered if f"{NETWORK}/{row['name']}" in names]
        return cls(
            bundle=bundle,
            sha256=known,
            per_picture=int(about["per_picture"]),
            twins=tuple(sorted({name.partition("/")[0] for name in names} - {NETWORK})),
            layers=tuple(row["name"] for row in layers),
            starts=np.cumsum([0] + [row["channels"] for row in layers]),
            depth=np.array([row["depth"] for row in layers], dtype=float),
            field=np.array([row["receptive_field"][0] for row in layers], dtype=float),
            reliability=_reliability(bundle, layers),
        )

    @property
    def model(self) -> str:
        """Key of the model."""
        return self.bundle.model

    @property
    def layer_of(self) -> np.ndarray:
        """Place in `layers` of every neuron, ``(neurons,)``."""
        return np.repeat(np.arange(len(self.layers)), np.diff(self.starts))

    def layer_keys(self) -> list[str]:
        """Keys of the layers."""
        return [f"{self.model}/{name}" for name in self.layers]

    def neuron_keys(self) -> np.ndarray:
        """Keys of the neurons, ``(neurons,)`` of str."""
        sizes = zip(self.layer_keys(), np.diff(self.starts), strict=True)
        return np.array([f"{layer}:{channel}" for layer, size in sizes for channel in range(size)])

    def copy(self, name: str = NETWORK) -> np.ndarray:
        """Signatures ``(neurons, samples)`` of the network or of a twin: float32 rows of mean 0
        and length 1, or of zeros.
        """
        path = self.bundle.attached_path(FILE)
        try:
            with safe_open(path, framework="numpy") as file:
                arrays = [file.get_tensor(f"{name}/{layer}") for layer in self.layers]
        except (SafetensorError, OSError) as error:
            raise BundleError(
                f"{path}: not readable ({error}); annotate the bundle again"
            ) from error
        return unit_rows(np.concatenate(arrays).astype(np.float32))


def of_today(bundle: Bundle) -> bool:
    """Whether a bundle has signatures whose null networks are `NULL`; `BundleError` if its file is
    not readable.
    """
    if FILE not in bundle.attached:
        return False
    about, _ = _described(bundle.attached_path(FILE))
    return about.get("null") == NULL


def _described(path: Path) -> tuple[_About, set[str]]:
    """What a file says of itself, and the names of its arrays."""
    try:
        with safe_open(path, framework="numpy") as file:
            return json.loads((file.metadata() or {})[_ABOUT]), set(file.keys())
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise BundleError(f"{path}: not readable ({error}); annotate the bundle again") from error


def _reliability(bundle: Bundle, layers: Sequence[_LayerRow]) -> np.ndarray:
    """Reliability of the neurons of some layers, in their order."""
    neurons = bundle.table("Neuron").select(["layer", "channel", "reliability"]).to_pylist()
    known = {(row["layer"], row["channel"]): row["reliability"] for row in neurons}
    ordered = [known[row["key"], place] for row in layers for place in range(row["channels"])]
    return np.array(ordered, dtype=float)


def packed(copies: Mapping[str, Mapping[str, np.ndarray]], *, about: Mapping[str, object]) -> bytes:
    """The file's bytes, of rows ``(C, samples)`` by copy and layer; ``about`` goes into its
    metadata.
    """
    arrays = {
        f"{copy}/{layer}": _quantised(rows)
        for copy, layers in copies.items()
        for layer, rows in layers.items()
    }
    return save(
        arrays, metadata={_ABOUT: json.dumps(about, sort_keys=True)}
    )  # several entries come in any order


def _quantised(rows: np.ndarray) -> np.ndarray:
    largest = np.abs(rows).max(1, keepdims=True, initial=0)
    return np.round(rows * (127 / np.where(largest > 0, largest, 1))).astype(np.int8)


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Rows of mean 0 and length 1; rows that are constant become zeros.

    >>> unit_rows(np.array([[3.0, 1.0], [2.0, 2.0]])).round(3)
    array([[ 0.707, -0.707],
           [ 0.   ,  0.   ]])
    """
    centred = rows - rows.mean(1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    silent = length <= 1e-6 * np.sqrt(rows.shape[1]) * np.abs(rows).max(1, keepdims=True, initial=0)
    return np.where(silent, 0, centred / np.where(silent, 1, length)).astype(rows.dtype)
