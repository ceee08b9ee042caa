"""Families written into networks with trained-like weights, found with the defaults of `annotate`:
pairwise precision and recall, as a Markdown table.

The families stand in one layer of 64 smooth random filters, and nothing else is planted.

    python -m benchmarks.bench_planted_families --networks 5
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from torch import nn

from benchmarks.results import Row, number
from circuitome.extract import Network, extract
from circuitome.extract.annotate.pipeline import annotate
from circuitome.graphdb.bundle import Bundle
from tests.support.planted import Planted, pairwise, turned
from tests.support.trained_like import network, stem

CASES = {
    "three rotation families of eight": [("rotate", turned(8, span=360))] * 3,
    "one rotation family of eight": [("rotate", turned(8, span=360))],
    "two hue families of three": [("hue", [0.0, 120.0, 240.0])] * 2,
    "none": [],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="seed of the first network")
    parser.add_argument("--cases", nargs="+", default=list(CASES))
    options = parser.parse_args()
    print("| planted | networks | precision | recall | networks with a chance family |")
    print("|---|--:|--:|--:|--:|", flush=True)
    for case in options.cases:
        seeds = range(options.first, options.first + options.networks)
        print(_row(case, seeds), flush=True)


def _row(case: str, seeds: range) -> str:
    row = measured(case, seeds)
    means = (number(row[name], ".2f") or "-" for name in ("precision", "recall"))
    return f"| {case} | {len(seeds)} | {' | '.join(means)} | {row['strange']} |"


def measured(case: str, seeds: range) -> Row:
    """Mean precision and recall of the planted families of one of `CASES`, None if there are none,
    and how many networks have a family of neurons that are not planted.
    """
    precisions, recalls, strange = [], [], 0
    for seed in seeds:
        filters, truth = stem(CASES[case], seed=seed)
        found = dict(_found(network(filters, seed=seed)))
        every = {member for planted in truth for member in planted.members}
        strange += any(not every & set(members) for members in found.values())
        for planted in truth:
            precision, recall = _best(found.values(), planted)
            recalls.append(recall)
            precisions += [precision] if recall else []
    means = (float(np.mean(each)) if each else None for each in (precisions, recalls))
    return dict(zip(("precision", "recall"), means, strict=True)) | {"strange": strange}


def _found(model: nn.Module) -> Iterator[tuple[str, Sequence[int]]]:
    """Members of every family of the first layer, with the defaults of the command."""
    with tempfile.TemporaryDirectory() as folder:
        bundle: Bundle = extract(
            Network(model, name="planted", input_shape=(3, 64, 64)), output=Path(folder) / "planted"
        )
        bundle = annotate(bundle, model, parts=["families"], device="cpu")
        members = defaultdict(list)
        for row in bundle.table("MEMBER_OF").to_pylist():
            layer, _, channel = row["from"].rpartition(":")
            if layer == "planted/0":
                members[row["to"]].append(int(channel))
    yield from members.items()


def _best(found: Iterable[Sequence[int]], planted: Planted) -> tuple[float, float]:
    """Precision and recall of the family that holds most of a planted one."""
    each = [pairwise(members, planted.members) for members in found]
    return max(each, key=lambda both: both[1], default=(0.0, 0.0))


if __name__ == "__main__":
    main()
