"""The folder of facts published with the Circuits thread: read, checked, and handed out as plain values.

The folder holds what the articles' public repositories hold: families of neurons, kernels decoded from figures, tuning
curves, filters of the first layer, maps of banded layers. None of it is part of this program. Units are channels of
InceptionV1 counted from 0 after concatenation, as the articles write them (`mixed3b:379`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np

from circuitome.errors import CircuitomeError

__all__ = [
    "EARLY_LAYERS",
    "ENVIRONMENT",
    "BandedLayer",
    "BranchSlice",
    "Convolution",
    "CuratedFamily",
    "GroundTruth",
    "GroundTruthError",
    "Tile",
    "TunedUnits",
    "open_ground_truth",
]

ENVIRONMENT: Final = "CIRCUITOME_GROUND_TRUTH"
"""Environment variable that names the folder."""
EARLY_LAYERS: Final = ("conv2d0", "conv2d1", "conv2d2", "mixed3a", "mixed3b")
"""The layers of *An Overview of Early Vision in InceptionV1*, whose families are complete."""

_ARCHITECTURE: Final = "inceptionv1_architecture.json"
_FAMILIES: Final = "families_early_vision.json"
_TILES: Final = "circuit_weights_from_figures.json"
_CIRCUITS: Final = "circuits_named.json"
_CURVES: Final = "curve_detectors.json"
_FREQUENCY: Final = "high_low_frequency.json"
_BANDS: Final = "weight_banding_index.json"
_TUNING: Final = "tuning_curves.npz"
_HAND_WRITTEN: Final = "aann_weights.npz"
_EXPANDED: Final = "expanded_weights_conv2d2_to_mixed3b_curves.npz"
_FILTERS: Final = "conv2d0_filters_rgb8.npz"
_BAND_MAPS: Final = "weight_banding_nmf_rgb8.npz"
_FILES: Final = (
    *(_ARCHITECTURE, _FAMILIES, _TILES, _CIRCUITS, _CURVES, _FREQUENCY, _BANDS),
    *(_TUNING, _HAND_WRITTEN, _EXPANDED, _FILTERS, _BAND_MAPS),
)


class GroundTruthError(CircuitomeError):
    """A folder that does not hold the published facts, or holds them damaged."""


@dataclass(frozen=True, slots=True)
class CuratedFamily:
    """One family of neurons of one layer, as the authors sorted them by eye."""

    layer: str
    """The article's layer: `conv2d2`, `mixed3a` ..."""
    title: str
    """The article's name, which other layers may use as well."""
    units: tuple[int, ...]
    """Channels after concatenation, ascending."""


@dataclass(frozen=True, slots=True)
class BranchSlice:
    """The run of a layer's channels that one convolution computes."""

    name: str
    """Name of the convolution: `mixed3b_5x5`; the layer's own where it has no branches."""
    start: int
    """First channel after concatenation."""
    stop: int
    """Channel after the last."""


@dataclass(frozen=True, slots=True)
class Convolution:
    """Shape of one convolution."""

    fan_in: int
    """Input channels."""
    kernel: int
    """Side of the kernel, pixels."""
    stride: int
    """Pixels between positions."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One kernel that was decoded from a figure of an article."""

    sender: str
    """Unit such as `mixed3a:147`, or the name of a factor over several units."""
    receiver: str
    """Unit such as `mixed3b:379`."""
    kernel: np.ndarray
    """``(5, 5)`` float32, rows downwards; 1 is the figure's saturated colour, so scales differ between figures."""
    figure: str
    """Repository and path of the figure."""
    flag: str | None
    """Why the tile is doubtful, None where it is not."""


@dataclass(frozen=True, slots=True)
class TunedUnits:
    """Responses of some units of a layer to synthetic curves at all angles."""

    units: tuple[int, ...]
    """Channels after concatenation."""
    responses: np.ndarray
    """``(units, angles)`` float64, activation units after the ReLU."""

    @property
    def angles(self) -> np.ndarray:
        """``(angles,)`` degrees, in the figure's sense: x = cos, y = sin with y down, so clockwise on the screen."""
        return np.arange(self.responses.shape[1]) * 360 / self.responses.shape[1]

    @property
    def preferred(self) -> np.ndarray:
        """``(units,)`` degrees of the largest response, as the articles have it."""
        return self.angles[self.responses.argmax(1)]


@dataclass(frozen=True, slots=True)
class BandedLayer:
    """Kernels of one layer of one trained network, reduced to three non-negative factors over input channels."""

    network: str
    """The article's name of the network and its training, such as `VGG19 - fc-only`."""
    layer: str
    """Its layer, as the network's framework names it."""
    maps: np.ndarray
    """``(neurons, 3, kh, kw)`` float64, 0 to 255."""


@dataclass(frozen=True)
class GroundTruth:
    """An opened folder; files are read on demand and kept. `open_ground_truth` checks that they are there."""

    folder: Path

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that are read, in a fixed order; others in the folder are none of ours."""
        return tuple(self.folder / name for name in _FILES)

    @cached_property
    def families(self) -> tuple[CuratedFamily, ...]:
        """The families of all layers; those of `EARLY_LAYERS` are known to sort every unit into exactly one."""
        with self._reading(_FAMILIES):
            listed = self._json(_FAMILIES)["families"]
            families = tuple(
                CuratedFamily(layer, family["name"], tuple(sorted(family["units"])))
                for layer, entries in listed.items()
                for family in entries
            )
            for layer in EARLY_LAYERS:
                self._check_partition(
                    layer, [family for family in families if family.layer == layer]
                )
            return families

    def _check_partition(self, layer: str, families: list[CuratedFamily]) -> None:
        times = Counter(unit for family in families for unit in family.units)
        expected = range(self.branches[layer][-1].stop)
        if set(times) != set(expected) or max(times.values(), default=0) > 1:
            odd = sorted(set(expected) ^ set(times)) or [
                unit for unit, count in times.items() if count > 1
            ]
            raise GroundTruthError(
                f"{self.folder / _FAMILIES}: the families of {layer} do not sort each of its {len(expected)} units into "
                f"one family (see unit {odd[0]}); take the file as it was published"
            )

    @cached_property
    def branches(self) -> Mapping[str, tuple[BranchSlice, ...]]:
        """The branches of every layer, in the order of concatenation."""
        with self._reading(_ARCHITECTURE):
            return {
                layer: tuple(
                    BranchSlice(entry["name"], entry["start"], entry["stop"])
                    for entry in each["branches"]
                )
                for layer, each in self._json(_ARCHITECTURE)["layers"].items()
            }

    @cached_property
    def convolutions(self) -> Mapping[str, Convolution]:
        """Every convolution of the network by its name, in the order of the file."""
        with self._reading(_ARCHITECTURE):
            return {
                name: Convolution(entry["in_channels"], entry["kernel"], entry["stride"])
                for name, entry in self._json(_ARCHITECTURE)["convs"].items()
            }

    @cached_property
    def tiles(self) -> tuple[Tile, ...]:
        """Every decoded kernel, in the order of the figures; an edge that several figures draw is here several times."""
        with self._reading(_TILES):
            return tuple(
                Tile(
                    entry["pre"],
                    entry["post"],
                    np.array(entry["weights"], np.float32),
                    entry["figure"],
                    entry.get("flag"),
                )
                for entry in self._json(_TILES)["edges"]
            )

    def tile(self, sender: str, receiver: str) -> Tile | None:
        """The first kernel of an edge that is not flagged, None where no figure has one."""
        fits = (
            t for t in self.tiles if (t.sender, t.receiver) == (sender, receiver) and t.flag is None
        )
        return next(fits, None)

    def factor_tiles(self, factor: str) -> Mapping[str, Tile]:
        """The kernels of a factor over several units, such as `hf-factor`, by their receivers."""
        return {tile.receiver: tile for tile in self.tiles if tile.sender == factor}

    @cached_property
    def tuned(self) -> Mapping[str, TunedUnits]:
        """Tuning to curves of the layers that the articles show."""
        with self._reading(_TUNING):
            arrays = self._arrays(_TUNING)
            layers = [
                name.removesuffix("_units")
                for name in arrays
                if name.removesuffix("_units") in self.branches
            ]
            return {
                layer: TunedUnits(
                    tuple(arrays[f"{layer}_units"].tolist()),
                    arrays[f"{layer}_act"].astype(np.float64),
                )
                for layer in layers
            }

    @cached_property
    def expanded(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Expanded weights: units of conv2d2 ``(n,)``, of mixed3b ``(m,)``, and kernels ``(n, m, 9, 9)``, arbitrary units."""
        with self._reading(_EXPANDED):
            arrays = self._arrays(_EXPANDED)
            return arrays["pre"], arrays["post"], arrays["weights"]

    @cached_property
    def hand_written_curves(self) -> np.ndarray:
        """Kernels ``(curves of mixed3a, curves of mixed3b, 5, 5)`` of the network that the authors wrote by hand."""
        with self._reading(_HAND_WRITTEN):
            return self._arrays(_HAND_WRITTEN)["aann_3a_to_3b"][:24, :24].astype(
                np.float64
            )  # the rest are lines

    @cached_property
    def first_filters(self) -> np.ndarray:
        """The 64 filters of conv2d0, ``(64, 3, 7, 7)`` float64: weights but for a gain and an offset a filter."""
        with self._reading(_FILTERS):
            return self._arrays(_FILTERS)["filters"].transpose(0, 3, 1, 2).astype(np.float64)

    @cached_property
    def banded(self) -> tuple[BandedLayer, ...]:
        """The layers whose kernels *Weight Banding* shows."""
        with self._reading(_BANDS):
            maps = self._arrays(_BAND_MAPS)
            return tuple(
                BandedLayer(
                    entry["model"],
                    entry["layer"],
                    maps[entry["key"]].transpose(0, 3, 1, 2).astype(np.float64),
                )
                for entry in self._json(_BANDS)["models"]
            )

    def curve_fact(self, field: str) -> Any:
        """A field of what *Curve Detectors* and *Curve Circuits* say of single units, as it stands in the file."""
        with self._reading(_CURVES):
            return self._json(_CURVES)[field]

    def high_low_fact(self, *fields: str) -> Any:
        """A field, or a field within it, of what *High-Low Frequency Detectors* says of single units, as it stands in the file."""
        with self._reading(_FREQUENCY):
            found = self._json(_FREQUENCY)
            for field in fields:
                found = found[field]
            return found

    def circuit(self, name: str) -> Mapping[str, Any]:
        """A named circuit of *Zoom In* or *Equivariance*, as it stands in the file: its ends are ``pre`` and ``post``."""
        with self._reading(_CIRCUITS):
            for entry in self._json(_CIRCUITS)["circuits"]:
                if entry["name"] == name:
                    return entry
            raise KeyError(name)

    @property
    def circles(self) -> tuple[str, ...]:
        """The circle detectors of growing size that *Equivariance* lists, such as `mixed3b:323`."""
        with self._reading(_CIRCUITS):
            return tuple(self._json(_CIRCUITS)["equivariant_families"]["scale_circles"])

    @cached_property
    def _read(self) -> dict[str, Any]:
        return {}

    def _json(self, name: str) -> Any:
        if name not in self._read:
            try:
                self._read[name] = json.loads((self.folder / name).read_text())
            except (OSError, ValueError) as error:
                raise self._unreadable(name, error) from error
        return self._read[name]

    def _arrays(self, name: str) -> Mapping[str, np.ndarray]:
        try:
            with np.load(self.folder / name, allow_pickle=False) as file:
                return {key: file[key] for key in file.files}
        except (OSError, ValueError) as error:
            raise self._unreadable(name, error) from error

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        """Say which file it is that lacks something."""
        try:
            yield
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise self._unreadable(name, error) from error

    def _unreadable(self, name: str, error: Exception) -> GroundTruthError:
        return GroundTruthError(
            f"{self.folder / name}: not readable ({type(error).__name__}: {error}); take the file as it was published"
        )


def open_ground_truth(folder: Path | None) -> GroundTruth:
    """The published facts in a folder.

    Raises:
        GroundTruthError: no folder was named, or a file of it is missing.
    """
    if folder is None:
        raise GroundTruthError(
            "thread-check needs the facts published with the Circuits thread, which are no part of this program: "
            f"name their folder with --ground-truth DIR or {ENVIRONMENT}"
        )
    missing = [file.name for file in GroundTruth(folder).files if not file.is_file()]
    if missing:
        raise GroundTruthError(
            f"{folder}: {missing[0]} is missing{f', and {len(missing) - 1} more' if len(missing) > 1 else ''}; name the "
            f"folder of the facts published with the Circuits thread with --ground-truth DIR or {ENVIRONMENT}"
        )
    return GroundTruth(folder)
