"""The whole annotation: a network and its bundle -> responses, kinds, equivariance, families and their circuits in the bundle.

What is finished is kept layer by layer in a folder beside the bundle, ``.NAME.annotating``, and removed when the bundle has it
all: an annotation that was stopped goes on from there, if it is the same annotation.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from circuitome.errors import CircuitomeError
from circuitome.extract.annotate import feeds as circuits
from circuitome.extract.annotate.families import find_families
from circuitome.extract.annotate.layer_kinds import SHOWN, cell_means, layer_kinds
from circuitome.extract.annotate.pairs import Pair, find_pairs
from circuitome.extract.annotate.records import SIGNIFICANT, Records, write
from circuitome.extract.annotate.scoring import LayerScores, batches, memory, score_layers
from circuitome.extract.annotate.weight_evidence import weight_pairs
from circuitome.extract.models.devices import pick_device
from circuitome.extract.models.weights import digest
from circuitome.extract.responses.cells import CellStatistics, Top
from circuitome.extract.responses.moments import effective_fields, layers_to_read, natural_moments
from circuitome.extract.responses.probes import Probe, Sight, plan, sights, symmetric_side
from circuitome.extract.responses.probes import assemble as lay_out
from circuitome.extract.responses.runner import Runner, activate, units_around
from circuitome.extract.responses.signatures import write_signatures
from circuitome.extract.responses.twins import twin
from circuitome.extract.stimuli.catalogue import Catalogue, catalogue
from circuitome.extract.stimuli.ensemble import ensemble, natural_like
from circuitome.extract.stimuli.gallery import gallery
from circuitome.extract.stimuli.images import read_images
from circuitome.extract.stimuli.transforms import GROUPS, steps
from circuitome.extract.trace.tracing import Trace, trace
from circuitome.extract.verify import exact_float32
from circuitome.extract.wiring import Wiring, WiringError
from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.bundle_writer import exchange, set_aside
from circuitome.graphdb.schema import ANNOTATION_PARTS, needed_by, parts_done
from circuitome.graphdb.stores import Progress

__all__ = ["PARTS", "AnnotateError", "annotate"]

PARTS: Final = ANNOTATION_PARTS
LATER: Final = ("circuits", "signatures")  # parts that are done at once, without records
COPY: Final = (
    "bundle"  # folder among the records where the bundle is amended until everything is in it
)
FEWEST_TWINS: Final = 3
NATURAL: Final = 64  # natural-like images
BUDGET: Final = 4e8  # bytes of tables that are collected at a time
PIXELS: Final = 400_000  # of a batch of images, about: more do not make it faster
SCARCE: Final = 4  # probes with so few patches an image, or fewer, show the short catalogue
ROOM: Final = (
    1.75  # side of the images of stimuli, in effective fields of the layer with the largest
)
FEWEST, MOST = (
    112,
    512,
)  # presentations for equivariance: where one patch fills the image, and where many fit


FAMILY: Final = ("group", "closure", "score", "strength", "members", "offsets", "offset_sd", "gaps")


class AnnotateError(CircuitomeError):
    """An annotation that cannot be made of what was given."""


@dataclass(frozen=True, slots=True)
class _Setting:
    """What one annotation works with."""

    model: nn.Module
    traced: Trace  # at a side where every grid of units is symmetric
    looks: tuple[Sight, ...]
    device: torch.device
    mean: Sequence[float] | None
    std: Sequence[float] | None
    twins: int
    seed: int
    images: Path | None
    report: Progress

    @property
    def wiring(self) -> Wiring:
        """The network's wiring."""
        return self.traced.wiring

    @property
    def side(self) -> int:
        """Height of the images, pixels."""
        return self.wiring.layers[0].size[0]

    def runner(self, layers: Sequence[int], batch: int | None = None) -> Runner:
        """The network up to some layers."""
        height, width = self.wiring.layers[0].size
        count = batch or max(1, min(64, PIXELS // (height * width)))
        return Runner.build(
            self.model,
            self.wiring,
            layers,
            batch=count,
            device=self.device,
            mean=self.mean,
            std=self.std,
        )


def annotate(
    bundle: Bundle,
    model: nn.Module,
    *,
    parts: Sequence[str] = PARTS,
    twins: int = 10,
    images: Path | None = None,
    device: str = "auto",
    seed: int = 0,
    progress: Progress | None = None,
) -> Bundle:
    """Add to ``bundle`` what its network does; ``model`` is that network, in eval mode.

    Args:
        parts: of `PARTS`; families come with equivariance, circuits with both. Parts that the bundle has from the same
            annotation are kept.
        twins: null networks for kinds, and null layers for equivariance.
        images: folder of pictures to show beside the natural-like ones.

    Raises:
        AnnotateError: an unknown part, fewer than three twins, another model's weights, or a network that does not see images.
        BundleError: the bundle cannot be written.
    """
    _check(parts, twins)
    row = bundle.manifest.model
    if digest(model) != row.get("weights_sha256"):
        raise AnnotateError(
            f"{bundle.path}: made from other weights than this model's; name the model that it was made from"
        )
    traced = _traced(bundle, model)
    setting = _Setting(
        model=model,
        traced=traced,
        looks=sights(traced.wiring),
        device=pick_device(device),
        mean=row.get("mean"),
        std=row.get("std"),
        twins=twins,
        seed=seed,
        images=images,
        report=progress or (lambda *_: None),
    )
    identity = _identity(setting, row)
    wanted = _wanted(bundle, parts, identity)
    if not wanted:
        Records.discard(bundle, identity)
        return bundle
    records = Records.open(bundle, identity, wanted)
    if set(wanted) <= set(LATER):
        annotated = _finished(set_aside(bundle, records.folder / COPY), setting, wanted)
        annotated = exchange(bundle, annotated)
        records.remove()
        return annotated
    with exact_float32():
        _responses(setting, records)
        setting = _focused(setting, records)
        if "kinds" in wanted:
            _kinds(setting, records)
        if "equivariance" in wanted or "families" in wanted:
            _equivariance(setting, records, families="families" in wanted)
    annotated = write(
        set_aside(bundle, records.folder / COPY),
        setting.wiring,
        records,
        parts=[part for part in wanted if part not in LATER],
        twins=twins,
        identity=identity,
    )
    annotated = exchange(bundle, _finished(annotated, setting, wanted))
    records.remove()
    return annotated


def _finished(bundle: Bundle, setting: _Setting, wanted: Sequence[str]) -> Bundle:
    """The bundle with the parts that need no records."""
    if "circuits" in wanted:
        bundle = circuits.write_circuits(bundle, seed=setting.seed, progress=setting.report)
    if "signatures" in wanted:
        with exact_float32():
            bundle = write_signatures(
                bundle,
                setting.model,
                gallery(setting.images),
                device=setting.device,
                seed=setting.seed,
                progress=setting.report,
            )
    return bundle


def _wanted(bundle: Bundle, parts: Sequence[str], identity: Mapping[str, Any]) -> list[str]:
    """Parts that are to be done: of one annotation those that it lacks; of another those of the old one as well."""
    before = parts_done(bundle.manifest.model)
    asked = {"responses", *parts}.union(*map(needed_by, parts))
    if bundle.manifest.note("annotation") == dict(identity):
        if not circuits.current(bundle, seed=identity["seed"]):  # families were curated since
            before = tuple(part for part in before if part != "circuits")
        return [part for part in PARTS if part in asked and part not in before]
    return [part for part in PARTS if part in asked or part in before]


def _check(parts: Sequence[str], twins: int) -> None:
    unknown = [part for part in parts if part not in PARTS]
    if unknown or not parts:
        raise AnnotateError(
            f"part {(unknown or ['(none)'])[0]!r} is not known; choose of {', '.join(PARTS)}"
        )
    if twins < FEWEST_TWINS:
        raise AnnotateError(
            f"--twins {twins}: significance needs {FEWEST_TWINS} null networks at least; ten are usual"
        )


def _traced(bundle: Bundle, model: nn.Module) -> Trace:
    """The network wired at a symmetric input side, or at its own where it takes no other."""
    own = Wiring.from_json(bundle.wiring)
    first = own.layers[0]
    if first.op != "input" or min(first.size) < 2 or first.channels not in (1, 3):
        raise AnnotateError(
            f"{bundle.path}: its network reads {first.channels} channels of {first.size[0]}x{first.size[1]}; stimuli are "
            "images, grey or RGB"
        )
    if first.size[0] != first.size[1]:
        return trace(model, (first.channels, *first.size))
    return _traced_at(own, model, symmetric_side(own)) or trace(
        model, (first.channels, *first.size)
    )


def _traced_at(own: Wiring, model: nn.Module, side: int) -> Trace | None:
    """The network wired at another side; None where it takes no such images."""
    try:
        found = trace(model, (own.layers[0].channels, side, side))
    except WiringError:
        return None
    same = [layer.name for layer in found.wiring.layers] == [layer.name for layer in own.layers]
    return found if same else None


def _focused(setting: _Setting, records: Records) -> _Setting:
    """The same at the smallest symmetric side that holds what the layers see: the rest of the image would cost and say little."""
    wiring, entry = setting.wiring, records.get("responses", 0)
    seen = [
        max(entry[str(i)]["field"])
        for i in layers_to_read(wiring)
        if min(wiring.layers[i].size) > 1
    ]
    least = int(np.ceil(ROOM * max(seen, default=setting.side)))
    if least >= setting.side or wiring.layers[0].size[0] != wiring.layers[0].size[1]:
        return setting
    side = symmetric_side(wiring, least=least)
    traced = _traced_at(wiring, setting.model, side) if side < setting.side else None
    return (
        setting if traced is None else replace(setting, traced=traced, looks=sights(traced.wiring))
    )


def _identity(setting: _Setting, row: Mapping[str, Any]) -> dict[str, Any]:
    """What has to be the same for finished layers of an earlier run to count."""
    pictures = (
        sorted(path.name for path in setting.images.iterdir())
        if setting.images and setting.images.is_dir()
        else []
    )
    return {
        "weights": row.get("weights_sha256"),
        "twins": setting.twins,
        "seed": setting.seed,
        "images": hashlib.sha256(json.dumps(pictures).encode()).hexdigest()
        if setting.images
        else None,
        "version": version("circuitome"),
        "device": setting.device.type,
    }


# -- responses ---------------------------------------------------------------------------------------


def _responses(setting: _Setting, records: Records) -> None:
    if records.has("responses", 0):
        return
    layers = layers_to_read(setting.wiring)
    runner = setting.runner(layers)
    shown = _natural(setting, runner.batch)
    pictures = [] if setting.images is None else list(read_images(setting.images, setting.side))
    total = -(-NATURAL // runner.batch) + -(-len(pictures) // runner.batch) + 1
    count = iter(range(1, total + 1))

    def advance() -> None:
        setting.report("responses", next(count), total)

    moments = natural_moments(
        runner,
        chain(shown, _batched(pictures, runner.batch, setting.device)),
        setting.traced.kernels,
        advance,
    )
    few = setting.runner(layers, batch=2)
    fields = effective_fields(
        few, natural_like(2, setting.side, seed=setting.seed, device=setting.device)
    )
    advance()
    entry = {
        str(index): {
            "mean": moments[index].mean.tolist(),
            "sd": moments[index].sd.tolist(),
            "maximum": moments[index].maximum.tolist(),
            "sparsity": moments[index].sparsity.tolist(),
            "field": list(fields[index]),
        }
        for index in layers
    }
    records.put("responses", 0, entry)


def _natural(setting: _Setting, batch: int) -> Iterator[Tensor]:
    for start in range(0, NATURAL, batch):
        count = min(batch, NATURAL - start)
        yield natural_like(
            count, setting.side, seed=setting.seed * 1_000_003 + start, device=setting.device
        )


def _batched(
    pictures: Sequence[tuple[str, Tensor]], batch: int, device: torch.device
) -> Iterator[Tensor]:
    for start in range(0, len(pictures), batch):
        yield torch.stack([picture for _, picture in pictures[start : start + batch]]).to(device)


def _radius(probe: Probe, records: Records) -> float:
    """Half of what the probe's layers see, pixels: the median of their effective fields."""
    entry = records.get("responses", 0)
    fields = [max(entry[str(index)]["field"]) for index in probe.layers]
    return float(np.clip(np.median(fields) / 2, 3.0, probe.side / 2))


# -- kinds -------------------------------------------------------------------------------------------


def _kinds(setting: _Setting, records: Records) -> None:
    probes = plan(setting.wiring)
    pending = [
        (number, probe)
        for number, probe in enumerate(probes)
        if any(not records.has("kinds", i) for i in probe.layers)
    ]
    if not pending:
        return
    natural = natural_like(min(NATURAL, 32), setting.side, seed=setting.seed + 1, device="cpu")
    twins = [
        twin(setting.model, setting.seed * 1000 + k, images=_prepared(setting, natural))
        for k in range(setting.twins)
    ]
    for number, probe in pending:
        shown = catalogue(
            probe.side,
            _radius(probe, records),
            seed=setting.seed,
            device=setting.device,
            scarce=probe.patches <= SCARCE,
        )
        size = len(shown.cells) * 16.0 * (1 + setting.twins)
        waiting = [index for index in probe.layers if not records.has("kinds", index)]
        for layers in batches(
            setting.wiring,
            waiting,
            lambda index, size=size: size * setting.wiring.layers[index].channels,
            BUDGET,
        ):
            found = _shown(
                setting, probe, layers, shown, twins, f"kinds, probe {number + 1} of {len(probes)}"
            )
            for index, (statistics, top) in found.items():
                records.keep(f"{index}.safetensors", cell_means(statistics[0], shown))
                records.put("kinds", index, _kind_columns(setting, index, statistics, top, shown))
    records.note("stimuli_sha256", catalogue(64, 16.0, seed=setting.seed).hash)


def _kind_columns(
    setting: _Setting, index: int, statistics: Sequence[CellStatistics], top: Top, shown: Catalogue
) -> dict[str, list[Any]]:
    return layer_kinds(
        setting.traced, index, statistics, top, shown, std=setting.std, seed=setting.seed
    )


def _prepared(setting: _Setting, images: Tensor) -> Tensor:
    """RGB images as the model itself takes them."""
    channels = setting.wiring.layers[0].channels
    mean, std = (
        torch.tensor(values or [default] * channels)
        for values, default in ((setting.mean, 0.0), (setting.std, 1.0))
    )
    images = images.mean(1, keepdim=True) if channels == 1 else images
    return (images - mean.view(1, -1, 1, 1)) / std.view(1, -1, 1, 1)


@torch.no_grad()
def _shown(
    setting: _Setting,
    probe: Probe,
    layers: Sequence[int],
    shown: Catalogue,
    twins: Sequence[nn.Module],
    stage: str,
) -> dict[int, tuple[list[CellStatistics], Top]]:
    """Statistics of the network and its twins over a catalogue, each stimulus drawn once for all of them."""
    wiring = setting.wiring
    runner = setting.runner(layers)
    runners = [runner, *(runner.rebound(other) for other in twins)]
    channels = {index: wiring.layers[index].channels for index in layers}
    statistics = {
        index: [CellStatistics(len(shown.cells), channels[index]) for _ in runners]
        for index in layers
    }
    tops = {index: Top(SHOWN, channels[index]) for index in layers}
    stride = runner.batch * probe.patches
    for start in range(0, len(shown), stride):
        stop = min(start + stride, len(shown))
        images = lay_out(probe, shown.draw(start, stop))
        for place, network in enumerate(runners):
            maps = network(images)
            for index in layers:
                around = units_around(
                    probe, setting.looks[index], maps[wiring.layers[index].node], margin=1
                )
                active = (
                    activate(wiring, index, around, setting.traced.kernels)
                    .amax(2)[: stop - start]
                    .cpu()
                    .numpy()
                )
                statistics[index][place].add(shown.cell_of[start:stop], active)
                if place == 0:
                    tops[index].add(np.arange(start, stop), active)
        setting.report(stage, stop, len(shown))
    return {index: (statistics[index], tops[index]) for index in layers}


# -- equivariance ------------------------------------------------------------------------------------


def _equivariance(setting: _Setting, records: Records, *, families: bool) -> None:
    part = "families" if families else "equivariance"
    probes = plan(setting.wiring)
    transforms = 1 + sum(len(steps(group)) for group in GROUPS)
    for number, probe in enumerate(probes):
        waiting = [index for index in probe.layers if not records.has(part, index)]
        presentations = FEWEST if probe.whole else MOST
        samples = presentations * (9 if probe.whole else 1)
        stimuli = ensemble(
            presentations,
            probe.side,
            _radius(probe, records),
            seed=setting.seed,
            device=setting.device,
        )

        def need(index: int, samples: int = samples) -> float:
            return memory(setting.wiring, index, transforms, setting.twins, samples)

        for layers in batches(setting.wiring, waiting, need, BUDGET):
            sources = [
                link.source for index in layers for link in setting.wiring.layers[index].links
            ]
            runner = setting.runner([*layers, *sources])
            total = transforms * -(-presentations // (runner.batch * probe.patches))
            count = iter(range(1, total + 1))
            stage = f"equivariance, probe {number + 1} of {len(probes)}"
            found = score_layers(
                runner,
                probe,
                setting.looks,
                layers,
                stimuli,
                presentations=presentations,
                groups=GROUPS,
                arrays=setting.traced.kernels,
                biases=setting.traced.biases,
                nulls=setting.twins,
                seed=setting.seed,
                advance=lambda count=count, stage=stage, total=total: setting.report(
                    stage, next(count), total
                ),
            )
            for index, scores in found.items():
                records.put(part, index, _findings(scores, families=families))
    _by_weights(setting, records, part)


def _findings(scores: LayerScores, *, families: bool) -> dict[str, Any]:
    """Pairs, families and invariances of one layer as plain data; q of families needs all layers and comes later."""
    searched = {
        group.group: find_families(group)
        for group in scores.groups
        if families and group.group != "hue_rotate"
    }
    return {
        "searched": bool(scores.groups),
        "invariance": {group: values.tolist() for group, values in scores.invariance.items()},
        "pairs": _plain(find_pairs(scores.groups)),
        "families": [
            {name: _listed(getattr(family, name)) for name in FAMILY}
            for found, _ in searched.values()
            for family in found
        ],
        "chance": {group: chance.tolist() for group, (_, chance) in searched.items()},
    }


def _plain(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    return [asdict(pair) for pair in pairs if pair.q <= SIGNIFICANT]


def _listed(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


def _by_weights(setting: _Setting, records: Records, part: str) -> None:
    """Evidence from weights, once the layers have all been looked at by responses."""
    pieces = {index: records.get(part, index) for index in layers_to_read(setting.wiring)}
    for number, index in enumerate(pieces):
        if not records.has("weights", index):
            pairs = weight_pairs(
                setting.traced, index, pieces, nulls=setting.twins, seed=setting.seed
            )
            records.put("weights", index, _plain(pairs))
        setting.report("equivariance, by weights", number + 1, len(pieces))
