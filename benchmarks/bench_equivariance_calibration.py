"""Calibration of equivariance: findings in networks in which nothing is planted, by null model, as
a Markdown table.

Networks of 64 smooth random filters (white noise, blurred), and of a second layer on top of such a
one. A null that holds gives findings at q <= 0.05 in about one network of twenty, and ranks of the
strongest family under rotation among the null layers' (rank p) as often above a half as below.

    python -m benchmarks.bench_equivariance_calibration --networks 20
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.results import Row
from circuitome.extract.annotate.families import find_families, null_strengths, strongest
from circuitome.extract.annotate.pairs import GroupScores, find_pairs
from circuitome.extract.annotate.significance import Cell, family_significance, nulls_needed
from circuitome.significance import p_of_count, reaching
from circuitome.vocabulary import Q_MAX
from tests.support.planted import Responder, null_layers, smooth_filters

GROUPS = ("rotate", "hue", "flip_h", "flip_v", "scale", "invert")
NEURONS = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=20)
    parser.add_argument("--nulls", type=int, nargs="+", default=[10, 20])
    parser.add_argument("--layers", nargs="+", default=list(LAYERS))
    parser.add_argument("--first", type=int, default=0, help="seed of the first network")
    parser.add_argument("--kinds", nargs="+", default=list(NULLS))
    options = parser.parse_args()
    print(
        "| layer | null | null layers | networks | with a family | with a pair | either | rank p "
        "<= 0.1 | median rank p |"
    )
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for layer in options.layers:
        for kind in options.kinds:
            for nulls in options.nulls:
                print(
                    _row(
                        layer, kind, nulls, range(options.first, options.first + options.networks)
                    ),
                    flush=True,
                )


def _row(layer: str, kind: str, nulls: int, seeds: range) -> str:
    row = measured(layer, kind, nulls, seeds)
    counts = " | ".join(str(row[name]) for name in ("families", "pairs", "either", "small"))
    return f"| {layer} | {kind} | {nulls} | {len(seeds)} | {counts} | {row['median']:.2f} |"


def measured(layer: str, kind: str, nulls: int, seeds: range) -> Row:
    """How many networks have a family, a pair, or either at q <= 0.05, and a rank p <= 0.1 of the
    strongest family; and the median of these.
    """
    families, pairs, ps = [], [], []
    for kernel, responder, colours in LAYERS[layer](seeds):
        scores_with = partial(_scores, kernel, responder, colours, kind)
        scores = {group: scores_with(group, nulls) for group in GROUPS}
        families.append(_least_q(scores, scores_with) <= Q_MAX)
        pairs.append(min((p.q for p in find_pairs(list(scores.values()))), default=1.0) <= Q_MAX)
        chance = find_families(scores["rotate"])[1]
        ps.append(float(p_of_count(reaching(strongest(scores["rotate"]), chance), nulls)))
    found = np.array([families, pairs])
    return {
        "families": int(found[0].sum()),
        "pairs": int(found[1].sum()),
        "either": int(found.any(0).sum()),
        "small": int((np.array(ps) <= 0.1).sum()),
        "median": float(np.median(ps)),
    }


def _scores(
    kernel: Tensor, responder: Responder, colours: bool, kind: str, group: str, nulls: int
) -> GroupScores:
    """Scores of a layer and of so many null layers; more begin with the same ones."""
    return responder.scores(kernel, group, nulls=NULLS[kind](kernel, nulls, colours))


def _least_q(
    scores: Mapping[str, GroupScores], scores_with: Callable[[str, int], GroupScores]
) -> float:
    """Least q of all families of a layer, with as many null layers as an annotation draws."""
    found, cells = [], {}
    for group, own in scores.items():
        families, chance = find_families(own)
        found += [(group, family.strength) for family in families]
        cells[group] = Cell(max((f.strength for f in families), default=0.0), chance)
    while needed := nulls_needed(cells.values()):
        for group, cell in cells.items():
            if cell.open and len(cell.further) < needed:
                first = len(cell.first)
                further = null_strengths(scores_with(group, first + needed), held_to=first)
                cells[group] = replace(cell, further=further)
    return float(family_significance(found, cells)[1].min(initial=1.0))


def _first_layers(
    *smoothness: float,
) -> Callable[[range], Iterator[tuple[Tensor, Responder, bool]]]:
    def networks(seeds: range) -> Iterator[tuple[Tensor, Responder, bool]]:
        responder = Responder(groups=GROUPS)
        for seed in seeds:
            generator = torch.Generator().manual_seed(seed)
            each = NEURONS // len(smoothness)
            yield (
                torch.cat(
                    [smooth_filters(each, smoothness=s, generator=generator) for s in smoothness]
                ),
                responder,
                True,
            )

    return networks


def _second_layers(seeds: range) -> Iterator[tuple[Tensor, Responder, bool]]:
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        first = nn.Conv2d(3, 16, 7)
        with torch.no_grad():
            first.weight.copy_(smooth_filters(16, smoothness=1.0, generator=generator) / 7)
            if first.bias is not None:
                first.bias.zero_()
        kernel = smooth_filters(NEURONS, smoothness=1.0, generator=generator, side=5, channels=16)
        yield (
            kernel,
            Responder(groups=GROUPS, side=11, front=nn.Sequential(first, nn.ReLU())),
            False,
        )


def _entries(kernel: Tensor, count: int, colours: bool) -> Tensor:
    """Entries permuted within each filter."""
    generator = torch.Generator().manual_seed(0)
    flat = kernel.flatten(1).expand(count, -1, -1)
    return flat.gather(2, torch.rand(flat.shape, generator=generator).argsort(2)).reshape(
        count, *kernel.shape
    )


def _fourier(kernel: Tensor, count: int, colours: bool) -> Tensor:
    """Random phases of the discrete Fourier transform, which takes filters for periodic."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(count, len(kernel), 1, *kernel.shape[2:], generator=generator)
    turn = torch.exp(1j * torch.fft.fft2(noise).angle())
    return torch.fft.ifft2(torch.fft.fft2(kernel) * turn).real


def _cosine(kernel: Tensor, count: int, colours: bool) -> Tensor:
    """Random signs of the discrete cosine transform."""
    down, right = (_cosines(size) for size in kernel.shape[2:])
    shape = (count, len(kernel), 1, *kernel.shape[2:])
    signs = torch.randint(2, shape, generator=torch.Generator().manual_seed(0)) * 2.0 - 1
    return down.T @ ((down @ kernel @ right.T) * signs) @ right


def _cosines(size: int) -> Tensor:
    """Orthonormal DCT-II ``(size, size)``, one component a row."""
    place = torch.arange(size)
    waves = torch.cos(math.pi * place[:, None] * (place + 0.5) / size)
    waves[0] /= math.sqrt(2)
    return waves * math.sqrt(2 / size)


def _own(kernel: Tensor, count: int, colours: bool) -> Tensor:
    """The null of the annotation: random signs of the layer's own components."""
    return null_layers(kernel, count, seed=0, colours=colours)


LAYERS = {
    "blur 0.7": _first_layers(0.7),
    "blur 1": _first_layers(1.0),
    "blur 2": _first_layers(2.0),
    "blur 0.5 to 2.5": _first_layers(0.5, 0.8, 1.3, 2.5),
    "second": _second_layers,
}
NULLS = {
    "own components": _own,
    "cosine signs": _cosine,
    "Fourier phases": _fourier,
    "entries": _entries,
}

if __name__ == "__main__":
    main()
