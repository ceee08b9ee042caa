"""The facts published with the Circuits thread: read, checked, and handed out as plain values.

They come with this package, with a table of their sources and licences: families of neurons,
kernels decoded from figures, tuning curves, ratios of banded layers. Pictures (the filters of
conv2d0, the maps of banded layers) do not; a fuller folder may hold them. Units are channels of
InceptionV1 counted from 0 after concatenation, as the articles write them (`mixed3b:379`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NotRequired, TypedDict

import numpy as np

from circuitome.errors import CircuitomeError
from circuitome.kernels import banding_ratio
from circuitome.thread.published import (
    BandedLayer,
    BranchSlice,
    Convolution,
    CuratedFamily,
    ExpandedKernels,
    NamedCircuit,
    OtherNetwork,
    Tile,
    TunedUnits,
)

__all__ = [
    "EARLY_LAYERS",
    "ENVIRONMENT",
    "FACTS",
    "FILTER_PICTURES",
    "GroundTruth",
    "GroundTruthError",
    "open_ground_truth",
]

FACTS: Final = Path(__file__).parent / "facts"
"""Folder of the facts that come with this package."""
ENVIRONMENT: Final = "CIRCUITOME_GROUND_TRUTH"
"""Environment variable that names a fuller folder."""
EARLY_LAYERS: Final = ("conv2d0", "conv2d1", "conv2d2", "mixed3a", "mixed3b")
"""The layers of *An Overview of Early Vision in InceptionV1*, whose families are complete."""

_ARCHITECTURE: Final = "inceptionv1_architecture.json"
_FAMILIES: Final = "families_early_vision.json"
_TILES: Final = "circuit_weights_from_figures.json"
_TUNING: Final = "tuning_curves.npz"
_EXPANDED: Final = "expanded_weights_conv2d2_to_mixed3b_curves.npz"
_CIRCUITS: Final = "circuits_named.json"
_CURVES: Final = "curve_detectors.json"
_FREQUENCY: Final = "high_low_frequency.json"
_BANDS: Final = "weight_banding_index.json"
_HAND_WRITTEN: Final = "aann_weights.npz"
_OF_THE_GRAPH: Final = (_ARCHITECTURE, _FAMILIES, _TILES, _TUNING, _EXPANDED)
_NEEDED: Final = (*_OF_THE_GRAPH, _CIRCUITS, _CURVES, _FREQUENCY, _BANDS, _HAND_WRITTEN)

FILTER_PICTURES: Final = "conv2d0_filters_rgb8.npz"
"""File of the filters of conv2d0, which does not ship."""
_BAND_MAPS: Final = "weight_banding_nmf_rgb8.npz"  # does not ship either; its ratios do

_MISSHAPEN: Final = (KeyError, IndexError, TypeError, AttributeError)  # a file of another shape
_HAND_WRITTEN_CURVES: Final = 24  # of its 42 neurons in either layer; the rest are lines


class GroundTruthError(CircuitomeError):
    """A folder that does not hold the published facts, or holds them damaged."""


@dataclass(frozen=True)
class GroundTruth:
    """An opened folder: files are read on demand and kept; `open_ground_truth` checks it."""

    folder: Path

    @property
    def files_of_graph(self) -> tuple[Path, ...]:
        """The files that the graph is made of, in a fixed order."""
        return tuple(self.folder / name for name in _OF_THE_GRAPH)

    @cached_property
    def families(self) -> tuple[CuratedFamily, ...]:
        """The families of all layers; those of `EARLY_LAYERS` sort every unit into one."""
        with self._reading(_FAMILIES) as content:
            families = [
                CuratedFamily(layer, family["name"], tuple(sorted(family["units"])))
                for layer, entries in content["families"].items()
                for family in entries
            ]
            for layer in EARLY_LAYERS:
                self._check_partition(layer, [each for each in families if each.layer == layer])
            return tuple(families)

    def _check_partition(self, layer: str, families: Sequence[CuratedFamily]) -> None:
        """Refuse families that leave a unit of a layer out, or have one twice."""
        times = Counter(unit for family in families for unit in family.units)
        expected = range(self.branches[layer][-1].stop)
        astray = sorted(set(expected) ^ set(times))
        odd = astray or [unit for unit, count in times.items() if count > 1]
        if odd:
            raise GroundTruthError(
                f"{self.folder / _FAMILIES}: the families of {layer} do not sort each of its "
                f"{len(expected)} units into one family (see unit {odd[0]}); "
                "take the file as it was published"
            )

    @cached_property
    def branches(self) -> Mapping[str, tuple[BranchSlice, ...]]:
        """The branches of every layer, in the order of concatenation."""
        with self._reading(_ARCHITECTURE) as content:
            layers = content["layers"].items()
            return {layer: _slices(entry["branches"]) for layer, entry in layers}

    def branch_of(self, layer: str, channel: int) -> BranchSlice:
        """The branch that a channel of a layer is in."""
        branches = self.branches[layer]
        return next(branch for branch in branches if branch.start <= channel < branch.stop)

    @cached_property
    def convolutions(self) -> Mapping[str, Convolution]:
        """Every convolution of the network by its name, in the order of the file."""
        with self._reading(_ARCHITECTURE) as content:
            return {
                name: Convolution(entry["in_channels"], entry["kernel"], entry["stride"])
                for name, entry in content["convs"].items()
            }

    def fan_in(self, layer: str) -> int:
        """Inputs of the neurons of a layer, its bottlenecks multiplied out."""
        return self.convolutions[self.branches[layer][0].name].fan_in

    @cached_property
    def tiles(self) -> tuple[Tile, ...]:
        """Every decoded kernel, figure by figure; an edge in several figures is several tiles."""
        with self._reading(_TILES) as content:
            return tuple(_tile(entry) for entry in content["edges"])

    def tile(self, sender: str, receiver: str) -> Tile | None:
        """The first kernel of an edge that is not flagged, None if no figure has one."""
        ends = (sender, receiver)
        for tile in self.tiles:
            if (tile.sender, tile.receiver) == ends and tile.flag is None:
                return tile
        return None

    def factor_tiles(self, factor: str) -> Mapping[str, Tile]:
        """The kernels of a factor over several units, such as `hf-factor`, by receiver."""
        return {tile.receiver: tile for tile in self.tiles if tile.sender == factor}

    @cached_property
    def tuned(self) -> Mapping[str, TunedUnits]:
        """Tuning to curves of the layers that the articles show."""
        with self._arrays(_TUNING) as arrays:
            names = [name.removesuffix("_units") for name in arrays]
            return {
                layer: TunedUnits(
                    tuple(arrays[f"{layer}_units"].tolist()),
                    arrays[f"{layer}_act"].astype(np.float64),
                )
                for layer in names
                if layer in self.branches
            }

    @cached_property
    def expanded(self) -> ExpandedKernels:
        """Expanded weights of conv2d2 onto the curve detectors of mixed3b."""
        with self._arrays(_EXPANDED) as arrays:
            kernels = arrays["weights"].astype(np.float64)
            return ExpandedKernels(arrays["pre"], arrays["post"], kernels)

    @cached_property
    def hand_written_curves(self) -> np.ndarray:
        """Kernels ``(curves of mixed3a, of mixed3b, 5, 5)`` of the hand-written network."""
        with self._arrays(_HAND_WRITTEN) as arrays:
            curves = slice(_HAND_WRITTEN_CURVES)
            return arrays["aann_3a_to_3b"][curves, curves].astype(np.float64)

    @cached_property
    def first_filters(self) -> np.ndarray | None:
        """The 64 filters of conv2d0 ``(64, 3, 7, 7)``, None if the folder has no pictures.

        float64: weights but for a gain and an offset a filter.
        """
        if not (self.folder / FILTER_PICTURES).is_file():
            return None
        with self._arrays(FILTER_PICTURES) as arrays:
            return arrays["filters"].transpose(0, 3, 1, 2).astype(np.float64)

    @cached_property
    def banded(self) -> tuple[BandedLayer, ...]:
        """The layers whose kernels *Weight Banding* shows.

        Their ratios are measured on the maps if the folder has them, otherwise as they ship.
        """
        with self._reading(_BANDS) as content:
            entries = content["models"]
            listed = {each["key"]: each["row_variance_over_column_variance"] for each in entries}
            ratios = listed | self._ratios_of_maps()
            return tuple(
                BandedLayer(each["model"], each["layer"], ratios[each["key"]]) for each in entries
            )

    def _ratios_of_maps(self) -> dict[str, float]:
        """Banding ratio of each map ``(neurons, kh, kw, 3)`` by its key; none without maps."""
        if not (self.folder / _BAND_MAPS).is_file():
            return {}
        with self._arrays(_BAND_MAPS) as maps:
            return {
                key: banding_ratio(pixels.transpose(0, 3, 1, 2).astype(np.float64))
                for key, pixels in maps.items()
            }

    @cached_property
    def curve_angles(self) -> Mapping[int, float]:
        """Angles of the curve detectors of mixed3b that an article writes out, degrees."""
        with self._reading(_CURVES) as content:
            written = content["orientation_hardcoded_in_article"].items()
            return {int(unit): float(angle) for unit, angle in written}

    def curve_pairs(self, effect: str) -> list[tuple[int, int]]:
        """Curves of mixed3a and mixed3b of which an article says that one excites (``excited``)
        or inhibits (``inhibited``) the other.
        """
        with self._reading(_CURVES) as content:
            return [(sender, receiver) for sender, receiver in content[f"{effect}_pairs_3a_3b"]]

    @cached_property
    def high_low_family(self) -> tuple[int, ...]:
        """The high-low frequency detectors of mixed3a that the article's text counts."""
        with self._reading(_FREQUENCY) as content:
            return tuple(content["detectors_mixed3a_family"])

    @cached_property
    def high_low_shown(self) -> tuple[int, ...]:
        """Those that its figure shows."""
        with self._reading(_FREQUENCY) as content:
            return tuple(content["detectors_shown_in_article"])

    @cached_property
    def high_low_elsewhere(self) -> tuple[OtherNetwork, ...]:
        """Networks in which the article found high-low frequency detectors."""
        with self._reading(_FREQUENCY) as content:
            return tuple(
                OtherNetwork(entry["name"], entry["layerName"], *entry["depthRatio"])
                for entry in content["other_models"]["similar_directions"]
            )

    def circuit(self, name: str) -> NamedCircuit:
        """A named circuit of *Zoom In* or *Equivariance*."""
        with self._reading(_CIRCUITS) as content:
            entries = {entry["name"]: entry for entry in content["circuits"]}
            return _circuit(entries[name])

    @property
    def circles(self) -> tuple[str, ...]:
        """The circle detectors of growing size that *Equivariance* lists."""
        with self._reading(_CIRCUITS) as content:
            return tuple(content["equivariant_families"]["scale_circles"])

    @cached_property
    def _read(self) -> dict[str, object]:
        return {}

    @contextmanager
    def _reading(self, name: str) -> Iterator[Any]:
        """The content of a JSON file; an error in reading it says which file it is."""
        try:
            if name not in self._read:
                self._read[name] = json.loads((self.folder / name).read_text())
            yield self._read[name]
        except (OSError, ValueError, *_MISSHAPEN) as error:
            raise self._unreadable(name, error) from error

    @contextmanager
    def _arrays(self, name: str) -> Iterator[Mapping[str, np.ndarray]]:
        """The arrays of a file by their names; an error in reading it says which file it is."""
        try:
            with np.load(self.folder / name, allow_pickle=False) as file:
                yield {key: file[key] for key in file.files}
        except (OSError, ValueError, *_MISSHAPEN) as error:
            raise self._unreadable(name, error) from error

    def _unreadable(self, name: str, error: Exception) -> GroundTruthError:
        return GroundTruthError(
            f"{self.folder / name}: not readable ({type(error).__name__}: {error}); "
            "take the file as it was published"
        )


class _Slice(TypedDict):
    name: str
    start: int
    stop: int


class _Edge(TypedDict):
    """A tile as it is written; ``weights`` are rows downwards."""

    pre: str
    post: str
    weights: list[list[float]]
    figure: str
    flag: NotRequired[str | None]


class _Arrow(TypedDict):
    pre: str
    role: str


class _Circuit(TypedDict, total=False):
    """A named circuit as it is written."""

    pre: str | Sequence[str]
    post: str | Sequence[str]
    edges: Sequence[_Arrow]
    units: Mapping[str, Sequence[int]]


def _slices(entries: Sequence[_Slice]) -> tuple[BranchSlice, ...]:
    return tuple(BranchSlice(entry["name"], entry["start"], entry["stop"]) for entry in entries)


def _tile(entry: _Edge) -> Tile:
    kernel = np.array(entry["weights"], np.float32)
    return Tile(entry["pre"], entry["post"], kernel, entry["figure"], entry.get("flag"))


def _circuit(entry: _Circuit) -> NamedCircuit:
    return NamedCircuit(
        senders=_several(entry.get("pre", ())),
        receivers=_several(entry.get("post", ())),
        roles={edge["role"]: edge["pre"] for edge in entry.get("edges", ())},
        units={layer: _units(layer, some) for layer, some in entry.get("units", {}).items()},
    )


def _units(layer: str, channels: Sequence[int]) -> tuple[str, ...]:
    return tuple(f"{layer}:{channel}" for channel in channels)


def _several(units: str | Sequence[str]) -> tuple[str, ...]:
    return (units,) if isinstance(units, str) else tuple(units)


def open_ground_truth(folder: Path | None = None) -> GroundTruth:
    """The published facts in a folder, or those that come with this package.

    Raises:
        GroundTruthError: a file of the folder is missing.
    """
    truth = GroundTruth(FACTS if folder is None else folder)
    missing = [name for name in _NEEDED if not (truth.folder / name).is_file()]
    if missing:
        more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise GroundTruthError(
            f"{truth.folder}: {missing[0]} is missing{more}; name the folder of the facts "
            f"published with the Circuits thread with --ground-truth DIR or {ENVIRONMENT}, "
            "or leave both out for those that come with this program"
        )
    return truth
