"""The published part of InceptionV1 as a bundle: 1,056 neurons, 77 families, kernels of figures.

It loads and answers like the bundle of any network, and is not one: nobody published the weights.

* Neurons: conv2d0 to mixed3b without the 1 x 1 bottlenecks. A branch of a block is a layer
  (`mixed3b_5x5`), a neuron's channel in the block is `IN_BLOCK.channel` (the articles'
  `mixed3b:379`).
* Families: the authors' own, ``source`` curated. A family of a block may span its branches; its
  ``layer`` is then empty.
* `EXCITES`, `INHIBITS`: kernels decoded from figures, bottlenecks multiplied out, nonlinearities
  left out. A figure's scale is its own (1 is the saturated colour), so signs, centres and
  polarities can be trusted, and weights compared within a figure alone. ``share`` and ``rank`` are
  among a receiver's decoded kernels; ``dropped`` counts the inputs that no figure shows.
* `EXPANDED`: the published expanded weights of conv2d2 onto the curve detectors of mixed3b, in
  units of their own.
* ``orientation_deg``, ``tuning_at``, ``tuning``: published responses to curves. Angles run as the
  articles draw them, clockwise on the screen, and other bundles count counter-clockwise;
  ``tuned_to`` says so.
* ``kind``: the authors' label if this program has a word for it. It was seen by eye, not measured.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa

from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.bundle_writer import BundleWriter
from circuitome.graphdb.schema import SCHEMA_VERSION, arrow_schema
from circuitome.thread.decoded import (
    Row,
    chosen_tiles,
    decoded_edges,
    decoded_kernels,
    expanded_edges,
)
from circuitome.thread.ground_truth import EARLY_LAYERS, GroundTruth
from circuitome.thread.keys import MODEL, family_key, layer_key, neuron_key
from circuitome.thread.published import BranchSlice, CuratedFamily, Tile, in_layer

__all__ = ["write_inception"]

TUNED_TO: Final = "curve: published angle, degrees clockwise"
KINDS: Final[Mapping[str, str]] = {
    "Angles": "angle",
    "BW vs Color": "bw_vs_colour",
    "Brightness Gradient": "brightness_gradient",
    "Brightness Gradients": "brightness_gradient",
    "Color Center-Surround": "colour_centre_surround",
    "Color Contrast": "colour_contrast",
    "Corners": "corner",
    "Curves": "curve",
    "Early Brightness Gradient": "brightness_gradient",
    "Gabor Filters": "gabor",
    "High-Low Frequency": "high_low",
    "Line": "line",
    "Line Divergence": "divergence",
    "Line Ends": "line_end",
    "Lines": "line",
    "Tiny Curves": "curve",
}
"""The titles of families that mean a kind of this program."""
NOTE: Final = (
    "Published facts about InceptionV1, not its weights: kernels are decoded from figures in units "
    "of each figure's colour scale; shares and ranks are among the decoded kernels of a receiver; "
    "inputs that no figure shows count as dropped."
)


def write_inception(truth: GroundTruth, path: Path, *, force: bool = False) -> Bundle:
    """Write the published facts as a bundle and open it.

    Args:
        truth: the published facts.
        path: folder of the bundle.
        force: replace a bundle that is there.

    Raises:
        BundleError: the folder cannot be written.
        GroundTruthError: a file of the facts is damaged.
    """
    tiles = chosen_tiles(truth)
    decoded = decoded_kernels(truth, tiles)
    tables = {
        **_structure(truth, tiles),
        "Neuron": list(_neurons(truth, tiles)),
        **_families(truth),
        **decoded_edges(truth, tiles, decoded.row_of),
        "EXPANDED": expanded_edges(truth),
    }
    tables["IN_LAYER"] = [{"from": row["key"], "to": row["layer"]} for row in tables["Neuron"]]
    with BundleWriter(path, force=force) as writer:
        for name, rows in tables.items():
            writer.write(name, pa.Table.from_pylist(rows, schema=arrow_schema(name)))
        model = tables["Model"][0]
        layers = [{"name": branch.name} for _, branch in _branches(truth)]
        kernels = decoded.layers.items()
        writer.finish(
            model={
                "key": MODEL,
                "architecture": "InceptionV1",
                "weights_sha256": model["weights_sha256"],
            },
            notes={"note": NOTE, "counts": {name: len(rows) for name, rows in tables.items()}},
            wiring={"layers": layers, "note": NOTE},
            kernels={f"kernel/{name}": array for name, array in kernels},
            kernel_rows=[(name, array.shape[0] * array.shape[1]) for name, array in kernels],
        )
    return Bundle.open(path)


def _branches(truth: GroundTruth) -> Iterator[tuple[str, BranchSlice]]:
    """Article layer and slice of each branch: the layers of the graph in their order."""
    for layer in EARLY_LAYERS:
        for branch in truth.branches[layer]:
            yield layer, branch


def _structure(truth: GroundTruth, tiles: Sequence[Tile]) -> dict[str, list[Row]]:
    """Rows of the model, its layers and blocks, and how they are joined."""
    layers = [layer_key(branch.name) for _, branch in _branches(truth)]
    return {
        "Model": [_model(truth)],
        "Layer": list(_layers(truth)),
        **_blocks(truth),
        "OF_MODEL": [{"from": layer, "to": MODEL} for layer in layers],
        "NEXT": list(_next(truth, tiles)),
    }


def _model(truth: GroundTruth) -> Row:
    content = hashlib.sha256()
    for file in truth.files_of_graph:
        content.update(file.name.encode() + hashlib.sha256(file.read_bytes()).digest())
    return {
        "key": MODEL,
        "architecture": "InceptionV1, as far as the Circuits thread shows it",
        "weights": "decoded from figures",
        "weights_sha256": content.hexdigest(),
        "task": "ImageNet",
        "keep": "what figures show",
        "schema_version": SCHEMA_VERSION,
        "state": "ready",
    }


def _layers(truth: GroundTruth) -> Iterator[Row]:
    depth = _depths(truth)
    for index, (_, branch) in enumerate(_branches(truth)):
        convolution = truth.convolutions[branch.name]
        yield {
            "key": layer_key(branch.name),
            "model": MODEL,
            "name": branch.name,
            "op": "conv",
            "index": index,
            "depth": depth[branch.name],
            "channels": branch.size,
            "kernel": [convolution.kernel] * 2,
            "stride": [convolution.stride] * 2,
            "groups": 1,
        }


def _depths(truth: GroundTruth) -> dict[str, float]:
    """Relative depth of each layer of the graph: convolutions before it, bottlenecks counted."""
    longest = sum(_steps(branches) for branches in truth.branches.values())
    depths, before = {}, 0
    for layer in EARLY_LAYERS:
        branches = truth.branches[layer]
        for branch in branches:
            depths[branch.name] = (before + _has_bottleneck(truth, branch)) / longest
        before += _steps(branches)
    return depths


def _steps(branches: Sequence[BranchSlice]) -> int:
    """Convolutions on the longest way through a layer: a block's branches have bottlenecks."""
    return 2 if len(branches) > 1 else 1


def _has_bottleneck(truth: GroundTruth, branch: BranchSlice) -> bool:
    return f"{branch.name}_bottleneck" in truth.convolutions


def _blocks(truth: GroundTruth) -> dict[str, list[Row]]:
    """Rows of `Block`, `Branch`, `IN_BLOCK` and `IN_BRANCH`."""
    blocks = [block for block in EARLY_LAYERS if len(truth.branches[block]) > 1]
    tables: dict[str, list[Row]] = {"Block": [], "Branch": [], "IN_BLOCK": [], "IN_BRANCH": []}
    for block in blocks:
        branches, key = truth.branches[block], layer_key(block)
        about = {"model": MODEL, "join": "concat", "branches": len(branches)}
        tables["Block"].append({"key": key, "name": block, **about})
        for index, branch in enumerate(branches):
            path = f"{key}#{branch.name}"
            about = {"key": path, "model": MODEL, "block": key, "name": branch.name}
            tables["Branch"].append({**about, "index": index, "channels": branch.size})
            for channel in range(branch.size):
                neuron, place = f"{layer_key(branch.name)}:{channel}", branch.start + channel
                tables["IN_BRANCH"].append({"from": neuron, "to": path})
                tables["IN_BLOCK"].append({"from": neuron, "to": key, "channel": place})
    return tables


def _next(truth: GroundTruth, tiles: Sequence[Tile]) -> Iterator[Row]:
    """What reads what; ``through`` is empty: pools and normalisations are not in the facts."""
    edges = Counter((_home(truth, tile.sender), _home(truth, tile.receiver)) for tile in tiles)
    for before, after in itertools.pairwise(EARLY_LAYERS):
        for source, target in itertools.product(truth.branches[before], truth.branches[after]):
            kept = edges[source.name, target.name]
            yield {
                "from": layer_key(source.name),
                "to": layer_key(target.name),
                "linearised": _has_bottleneck(truth, target),
                "edges": kept,
                "dropped": source.size * target.size - kept,
            }


def _home(truth: GroundTruth, unit: str) -> str:
    """Name of the layer of the graph that a unit is in."""
    return truth.branch_of(*in_layer(unit)).name


def _neurons(truth: GroundTruth, tiles: Sequence[Tile]) -> Iterator[Row]:
    depth, kinds, tuning = _depths(truth), _kinds(truth), _tuning(truth)
    decoded = Counter(neuron_key(truth, tile.receiver) for tile in tiles)
    for layer, branch in _branches(truth):
        fan_in = truth.fan_in(layer)
        for channel in range(branch.size):
            key, unit = f"{layer_key(branch.name)}:{channel}", (layer, branch.start + channel)
            yield {
                "key": key,
                "model": MODEL,
                "layer": layer_key(branch.name),
                "channel": channel,
                "op": "conv",
                "depth": depth[branch.name],
                "fan_in": fan_in,
                "dropped": fan_in - decoded[key],
                "kind": kinds[unit],
                **tuning.get(unit, {}),
            }


def _early_families(truth: GroundTruth) -> list[CuratedFamily]:
    return [family for family in truth.families if family.layer in EARLY_LAYERS]


def _kinds(truth: GroundTruth) -> dict[tuple[str, int], str | None]:
    """Kind of each unit, by its layer and channel; None if this program has no word for it."""
    families = _early_families(truth)
    return {(each.layer, unit): KINDS.get(each.title) for each in families for unit in each.units}


def _tuning(truth: GroundTruth) -> dict[tuple[str, int], Row]:
    """What the graph holds of the tuning of a unit, by its layer and channel."""
    rows: dict[tuple[str, int], Row] = {}
    for layer, tuned in truth.tuned.items():
        angles = {"tuned_to": TUNED_TO, "tuning_at": tuned.angles.tolist()}
        preferred = tuned.preferred_of()
        for unit, responses in zip(tuned.units, tuned.responses.tolist(), strict=True):
            own = {"orientation_deg": preferred[unit], "tuning": responses}
            rows[layer, unit] = {**angles, **own}
    return rows


def _families(truth: GroundTruth) -> dict[str, list[Row]]:
    """Rows of `Family` and `MEMBER_OF`: members that were shown curves have their angle."""
    tables: dict[str, list[Row]] = {"Family": [], "MEMBER_OF": []}
    for family in _early_families(truth):
        key, tuned = family_key(family.layer, family.title), truth.tuned.get(family.layer)
        known = {} if tuned is None else tuned.preferred_of()
        offsets = {unit: known[unit] for unit in family.units if unit in known}
        homes = {truth.branch_of(family.layer, unit).name for unit in family.units}
        row = {
            "key": key,
            "model": MODEL,
            "layer": layer_key(homes.pop()) if len(homes) == 1 else None,
            "name": f"{family.layer} {family.title}",
            "group": "rotate" if offsets else None,
            "size": len(family.units),
            "source": "curated",
        }
        tables["Family"].append(row)
        for unit in family.units:
            neuron = neuron_key(truth, f"{family.layer}:{unit}")
            tables["MEMBER_OF"].append({"from": neuron, "to": key, "offset": offsets.get(unit)})
    return tables
