"""The published part of InceptionV1 as a bundle: 1,056 neurons of five layers, 77 families, the kernels of the figures.

It loads and answers like the bundle of any network, and is not one: nobody published the weights. What it holds, and how:

* Neurons: conv2d0 to mixed3b without the 1 x 1 bottlenecks. A branch of a block is a layer (`mixed3b_5x5`), a neuron's
  channel in the block is `IN_BLOCK.channel` (the articles' `mixed3b:379`).
* Families: the authors' own, ``source`` curated. A family of a block may span its branches; its ``layer`` is then empty.
* `EXCITES`, `INHIBITS`: kernels decoded from figures, bottlenecks multiplied out, nonlinearities left out. A figure's
  scale is its own (1 is the saturated colour), so signs, centres and polarities can be trusted, and weights compared within
  a figure alone. Of an edge in several figures the one in the figure that shows most of its receiver is taken; doubtful
  kernels are left out. ``share`` and ``rank`` are among a receiver's decoded kernels; ``dropped`` counts the inputs that no figure shows.
* `EXPANDED`: the published expanded weights of conv2d2 onto the curve detectors of mixed3b, in units of their own.
* ``orientation_deg``, ``tuning_at``, ``tuning``: published responses to curves. Angles run as the articles draw them, clockwise
  on the screen, and other bundles count counter-clockwise; ``tuned_to`` says so.
* ``kind``: the authors' label where this program has a word for it. It was seen by eye, not measured.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.bundle_writer import BundleWriter
from circuitome.graphdb.schema import SCHEMA_VERSION, arrow_schema
from circuitome.thread.ground_truth import (
    EARLY_LAYERS,
    BranchSlice,
    CuratedFamily,
    GroundTruth,
    Tile,
)

__all__ = ["MODEL", "chosen_tiles", "family_key", "neuron_key", "part_centres", "write_inception"]

MODEL: Final = "inceptionv1_thread"
"""Key of the model: not `inceptionv1`, which a user's own extraction may have."""
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
HOPS: Final = 2  # conv2d2 -> mixed3a -> mixed3b, bottlenecks not counted
NOTE: Final = (
    "Published facts about InceptionV1, not its weights: kernels are decoded from figures in units of each figure's colour "
    "scale; shares and ranks are among the decoded kernels of a receiver; inputs that no figure shows count as dropped."
)


def neuron_key(truth: GroundTruth, unit: str) -> str:
    """Key of a unit that is written as in the articles, ``mixed3b:379``."""
    layer, _, channel = unit.partition(":")
    branch = _branch_of(truth, layer, int(channel))
    return f"{MODEL}/{branch.name}:{int(channel) - branch.start}"


def family_key(layer: str, title: str) -> str:
    """Key of a family; titles occur in several layers, so the layer stands before it."""
    return f"{MODEL}/curated:{layer} {title}"


def _branch_of(truth: GroundTruth, layer: str, channel: int) -> BranchSlice:
    return next(branch for branch in truth.branches[layer] if branch.start <= channel < branch.stop)


def _branches(truth: GroundTruth) -> Iterator[tuple[str, int, BranchSlice]]:
    """Article layer, position in it, and slice of each branch: the layers of the bundle in their order."""
    for layer in EARLY_LAYERS:
        for index, branch in enumerate(truth.branches[layer]):
            yield layer, index, branch


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
    kernels, rows = _kernels(truth, tiles)
    tables = {
        "Model": [_model(truth)],
        "Layer": list(_layers(truth)),
        **_blocks(truth),
        "Neuron": list(_neurons(truth, tiles)),
        "Family": [_family(truth, family) for family in _early_families(truth)],
        "MEMBER_OF": list(_members(truth)),
        "OF_MODEL": [
            {"from": f"{MODEL}/{branch.name}", "to": MODEL} for _, _, branch in _branches(truth)
        ],
        "NEXT": list(_next(truth, tiles)),
        **_edges(truth, tiles, rows),
        "EXPANDED": _expanded(truth),
    }
    tables["IN_LAYER"] = [
        {"from": neuron["key"], "to": neuron["layer"]} for neuron in tables["Neuron"]
    ]
    with BundleWriter(path, force=force) as writer:
        for name, entries in tables.items():
            writer.write(name, pa.Table.from_pylist(entries, schema=arrow_schema(name)))
        writer.finish(
            model={
                "key": MODEL,
                "architecture": "InceptionV1",
                "weights_sha256": tables["Model"][0]["weights_sha256"],
            },
            notes={
                "note": NOTE,
                "counts": {name: len(entries) for name, entries in tables.items()},
            },
            wiring={
                "layers": [{"name": branch.name} for _, _, branch in _branches(truth)],
                "note": NOTE,
            },
            kernels=kernels,
            kernel_rows=[
                (name.removeprefix("kernel/"), array.shape[0] * array.shape[1])
                for name, array in kernels.items()
            ],
        )
    return Bundle.open(path)


def chosen_tiles(truth: GroundTruth) -> tuple[Tile, ...]:
    """One decoded kernel for each edge inside the graph, receivers and then senders in the order of the file.

    Of several figures with the same edge, the one that shows most inputs of the receiver: so that as many of a receiver's
    kernels as can be have one scale.
    """
    inside = [tile for tile in truth.tiles if tile.flag is None and _is_inside(truth, tile)]
    shown = Counter((tile.receiver, tile.figure) for tile in inside)
    chosen: dict[tuple[str, str], Tile] = {}
    for tile in sorted(inside, key=lambda tile: -shown[tile.receiver, tile.figure]):
        chosen.setdefault((tile.receiver, tile.sender), tile)
    return tuple(tile for tile in inside if chosen[tile.receiver, tile.sender] is tile)


def _is_inside(truth: GroundTruth, tile: Tile) -> bool:
    """Whether both ends are units of the early layers (a sender may be a factor over several, and is then none)."""
    return all(
        end.partition(":")[0] in EARLY_LAYERS and end.partition(":")[2].isdigit()
        for end in (tile.sender, tile.receiver)
    )


def _early_families(truth: GroundTruth) -> list[CuratedFamily]:
    return [family for family in truth.families if family.layer in EARLY_LAYERS]


def _model(truth: GroundTruth) -> dict[str, Any]:
    content = hashlib.sha256()
    for file in truth.files:
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


def _convolutions_before(truth: GroundTruth, name: str) -> int:
    """Convolutions on the longest way to a layer of the bundle, bottlenecks counted."""
    before = 0
    for layer in EARLY_LAYERS:
        names = [branch.name for branch in truth.branches[layer]]
        if name in names:
            return before + (f"{name}_bottleneck" in truth.convolutions)
        before += 2 if len(names) > 1 else 1
    raise KeyError(name)


def _longest_chain(truth: GroundTruth) -> int:
    return sum(2 if len(branches) > 1 else 1 for branches in truth.branches.values())


def _layers(truth: GroundTruth) -> Iterator[dict[str, Any]]:
    longest = _longest_chain(truth)
    for index, (_, _, branch) in enumerate(_branches(truth)):
        convolution = truth.convolutions[branch.name]
        yield {
            "key": f"{MODEL}/{branch.name}",
            "model": MODEL,
            "name": branch.name,
            "op": "conv",
            "index": index,
            "depth": _convolutions_before(truth, branch.name) / longest,
            "channels": branch.stop - branch.start,
            "kernel": [convolution.kernel] * 2,
            "stride": [convolution.stride] * 2,
            "groups": 1,
        }


def _blocks(truth: GroundTruth) -> dict[str, list[dict[str, Any]]]:
    """Rows of `Block`, `Branch`, `IN_BLOCK` and `IN_BRANCH`."""
    blocks = [layer for layer in EARLY_LAYERS if len(truth.branches[layer]) > 1]
    tables: dict[str, list[dict[str, Any]]] = {
        "Block": [],
        "Branch": [],
        "IN_BLOCK": [],
        "IN_BRANCH": [],
    }
    for block in blocks:
        key, branches = f"{MODEL}/{block}", truth.branches[block]
        tables["Block"].append(
            {"key": key, "model": MODEL, "name": block, "join": "concat", "branches": len(branches)}
        )
        for index, branch in enumerate(branches):
            size, path = branch.stop - branch.start, f"{key}#{branch.name}"
            row = {
                "key": path,
                "model": MODEL,
                "block": key,
                "name": branch.name,
                "index": index,
                "channels": size,
            }
            tables["Branch"].append(row)
            neurons = [f"{MODEL}/{branch.name}:{channel}" for channel in range(size)]
            tables["IN_BRANCH"] += [{"from": neuron, "to": path} for neuron in neurons]
            tables["IN_BLOCK"] += [
                {"from": neuron, "to": key, "channel": branch.start + channel}
                for channel, neuron in enumerate(neurons)
            ]
    return tables


def _neurons(truth: GroundTruth, tiles: Sequence[Tile]) -> Iterator[dict[str, Any]]:
    depth = {row["name"]: row["depth"] for row in _layers(truth)}
    fan_in = _fan_in(truth)
    decoded = Counter(neuron_key(truth, tile.receiver) for tile in tiles)
    kinds = {
        (f.layer, unit): KINDS.get(f.title) for f in _early_families(truth) for unit in f.units
    }
    tuning = {
        (layer, unit): {
            "orientation_deg": float(tuned.preferred[row]),
            "tuned_to": TUNED_TO,
            "tuning_at": tuned.angles.tolist(),
            "tuning": tuned.responses[row].tolist(),
        }
        for layer, tuned in truth.tuned.items()
        for row, unit in enumerate(tuned.units)
    }
    for layer, _, branch in _branches(truth):
        for channel in range(branch.stop - branch.start):
            key, unit = f"{MODEL}/{branch.name}:{channel}", (layer, branch.start + channel)
            yield {
                "key": key,
                "model": MODEL,
                "layer": f"{MODEL}/{branch.name}",
                "channel": channel,
                "op": "conv",
                "depth": depth[branch.name],
                "fan_in": fan_in[layer],
                "dropped": fan_in[layer] - decoded[key],
                "kind": kinds[unit],
                **tuning.get(unit, {}),
            }


def _fan_in(truth: GroundTruth) -> dict[str, int]:
    """Inputs of the neurons of each layer: a bottleneck's inputs where there is one, as it is multiplied out."""
    return {
        layer: truth.convolutions[truth.branches[layer][0].name].fan_in for layer in EARLY_LAYERS
    }


def _family(truth: GroundTruth, family: CuratedFamily) -> dict[str, Any]:
    homes = {_branch_of(truth, family.layer, unit).name for unit in family.units}
    return {
        "key": family_key(family.layer, family.title),
        "model": MODEL,
        "layer": f"{MODEL}/{homes.pop()}" if len(homes) == 1 else None,
        "name": f"{family.layer} {family.title}",
        "group": "rotate" if _angles(truth, family) else None,
        "size": len(family.units),
        "source": "curated",
    }


def _angles(truth: GroundTruth, family: CuratedFamily) -> dict[int, float]:
    """Published angles of those members that were shown curves."""
    tuned = truth.tuned.get(family.layer)
    known = {} if tuned is None else dict(zip(tuned.units, tuned.preferred.tolist(), strict=True))
    return {unit: known[unit] for unit in family.units if unit in known}


def _members(truth: GroundTruth) -> Iterator[dict[str, Any]]:
    for family in _early_families(truth):
        angles, key = _angles(truth, family), family_key(family.layer, family.title)
        for unit in family.units:
            yield {
                "from": neuron_key(truth, f"{family.layer}:{unit}"),
                "to": key,
                "offset": angles.get(unit),
            }


def _next(truth: GroundTruth, tiles: Sequence[Tile]) -> Iterator[dict[str, Any]]:
    """What reads what; ``through`` is left empty, since pools and normalisations are not in the facts."""
    edges = Counter(
        tuple(_home(truth, unit) for unit in (tile.sender, tile.receiver)) for tile in tiles
    )
    for before, after in itertools.pairwise(EARLY_LAYERS):
        for source in truth.branches[before]:
            for target in truth.branches[after]:
                pairs = (source.stop - source.start) * (target.stop - target.start)
                kept = edges[source.name, target.name]
                yield {
                    "from": f"{MODEL}/{source.name}",
                    "to": f"{MODEL}/{target.name}",
                    "linearised": f"{target.name}_bottleneck" in truth.convolutions,
                    "edges": kept,
                    "dropped": pairs - kept,
                }


def _home(truth: GroundTruth, unit: str) -> str:
    """Name of the layer of the bundle that a unit is in."""
    layer, _, channel = unit.partition(":")
    return _branch_of(truth, layer, int(channel)).name


def _kernels(
    truth: GroundTruth, tiles: Sequence[Tile]
) -> tuple[dict[str, np.ndarray], dict[tuple[str, str], int]]:
    """Kernels of every layer that a figure shows, zero where none does, and the row of each edge (sender, receiver)."""
    fan_in, arrays, offsets, rows = _fan_in(truth), {}, {}, {}
    shown = {_home(truth, tile.receiver) for tile in tiles}
    start = 0
    for layer, _, branch in _branches(truth):
        if branch.name in shown:
            size = branch.stop - branch.start
            arrays[f"kernel/{branch.name}"] = np.zeros(
                (size, fan_in[layer], *tiles[0].kernel.shape), np.float32
            )
            offsets[branch.name] = start
            start += size * fan_in[layer]
    for tile in tiles:
        layer, _, channel = tile.receiver.partition(":")
        branch, sender = _branch_of(truth, layer, int(channel)), int(tile.sender.partition(":")[2])
        arrays[f"kernel/{branch.name}"][int(channel) - branch.start, sender] = tile.kernel
        row = (int(channel) - branch.start) * fan_in[layer] + sender
        rows[tile.sender, tile.receiver] = offsets[branch.name] + row
    return arrays, rows


def part_centres(kernels: np.ndarray) -> dict[str, np.ndarray]:
    """Centres ``ex, ey, ix, iy`` of the positive and the negative part of kernels ``(n, kh, kw)``, each ``(n,)``.

    Pixels right of and below the kernel's centre; NaN where a part is absent.
    """
    kernels = kernels.astype(np.float64)
    down = np.arange(kernels.shape[1])[:, None] - (kernels.shape[1] - 1) / 2
    right = np.arange(kernels.shape[2])[None, :] - (kernels.shape[2] - 1) / 2
    centres = {}
    for letter, part in (("e", np.maximum(kernels, 0)), ("i", np.maximum(-kernels, 0))):
        total = part.sum((1, 2))
        for axis, places in (("x", right), ("y", down)):
            moment = (part * places).sum((1, 2))
            centres[letter + axis] = np.divide(
                moment, total, out=np.full(len(total), np.nan), where=total > 0
            )
    return centres


def _edges(
    truth: GroundTruth, tiles: Sequence[Tile], rows: Mapping[tuple[str, str], int]
) -> dict[str, list[dict[str, Any]]]:
    """Rows of `EXCITES` and `INHIBITS`."""
    kernels = np.stack([tile.kernel for tile in tiles]).astype(np.float64)
    weight, total = kernels.sum((1, 2)), np.abs(kernels).sum((1, 2))
    share, rank = _among_inputs([tile.receiver for tile in tiles], np.square(kernels).sum((1, 2)))
    columns = {
        "weight": weight,
        "excitation": (weight + total) / 2,
        "polarity": weight / total,
        "share": share,
        "rank": rank,
        **part_centres(kernels),
    }
    tables: dict[str, list[dict[str, Any]]] = {"EXCITES": [], "INHIBITS": []}
    for number, tile in enumerate(tiles):
        row: dict[str, Any] = {
            "from": neuron_key(truth, tile.sender),
            "to": neuron_key(truth, tile.receiver),
        }
        row |= {name: _or_none(column[number].item()) for name, column in columns.items()}
        row["kernel"] = rows[tile.sender, tile.receiver]
        tables["INHIBITS" if weight[number] < 0 else "EXCITES"].append(row)
    return tables


def _or_none(value: float) -> float | None:
    return None if value != value else value


def _among_inputs(receivers: Sequence[str], mass: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of each kernel's squared norm in those of its receiver, and its rank from 1."""
    share, rank = np.empty(len(mass)), np.empty(len(mass), np.int64)
    homes = np.array(receivers)
    for receiver in dict.fromkeys(receivers):
        own = np.flatnonzero(homes == receiver)
        share[own] = mass[own] / mass[own].sum()
        rank[own[np.argsort(-mass[own], kind="stable")]] = np.arange(1, len(own) + 1)
    return share, rank


def _expanded(truth: GroundTruth) -> list[dict[str, Any]]:
    """Rows of `EXPANDED`; how far paths cancel is not published, and left empty."""
    senders, receivers, kernels = truth.expanded
    weight = kernels.astype(np.float64).sum((2, 3))
    excitation = np.maximum(kernels, 0).astype(np.float64).sum((2, 3))
    mass = np.square(kernels.astype(np.float64)).sum((2, 3))
    share = mass / mass.sum(0)
    rank = np.argsort(np.argsort(-mass, axis=0, kind="stable"), axis=0) + 1
    return [
        {
            "from": neuron_key(truth, f"conv2d2:{sender}"),
            "to": neuron_key(truth, f"mixed3b:{receiver}"),
            "weight": float(weight[i, j]),
            "excitation": float(excitation[i, j]),
            "share": float(share[i, j]),
            "rank": int(rank[i, j]),
            "hops": HOPS,
            "linearised": True,
        }
        for i, sender in enumerate(senders.tolist())
        for j, receiver in enumerate(receivers.tolist())
    ]
