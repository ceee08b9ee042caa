"""Every threshold of the motif queries with its default, from their headers, and why it is so.

`table` is the page `docs/thresholds.md`; a motif whose parameter has no reason here fails it.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from benchmarks.results import markdown
from circuitome.queries.catalogue import library

__all__ = ["REASONS", "parameters", "table"]

PLAIN: Final = ("model", "limit")
"""Parameters that are no thresholds: which network, and how many rows."""

ON_1_1: Final = " Chosen on SqueezeNet 1.1."
ROUND: Final = "A round number; no other value was tried. "
REASONS: Final[dict[tuple[str, float | str], str]] = {
    ("strength", 4.0): (
        "A kernel of twice the root mean square of its receiver's kernels: in these motifs every "
        "single edge has to be strong." + ON_1_1
    ),
    ("strength", 2.0): (
        "Twice the average share: these motifs need many edges of a neuron at once, and the few "
        "strongest alone make no groups and no hosts."
    ),
    ("strength", 1.0): (
        "At least an average input. The score is weighted by share, so weak inputs count little."
    ),
    ("polarity", 0.2): (
        "Up to half of the kernel mass of real networks has a \\|polarity\\| below 0.2: such an "
        "edge neither excites nor inhibits as a whole."
    ),
    ("cosine of opponent_pairs", 0.5): "Fan-ins at an angle of 120 degrees or more." + ON_1_1,
    ("cosine of push_pull", 0.3): (
        "Lower than for opponent pairs, because fan-ins and fan-outs both have to reach it."
        + ON_1_1
    ),
    ("cosine of superposition_read_back", 0.6): (
        "Nearly three standard deviations of chance over 24 hosts, and more than four over 48."
        + ON_1_1
    ),
    ("hosts", 3): ("Two hosts may be any neuron's two strong edges; three or more are a spread."),
    ("q", 0.05): "The limit of significance everywhere in the program (`Q_MAX`).",
    ("opposed", 0.1): (
        "Opposed at all: the equivariant pair already says that one is the other's mirror, and the "
        "size of the opposition is part of the score." + ON_1_1
    ),
    ("together", 0.2): "Read together at all, for the same reason." + ON_1_1,
    ("alike", 0.3): ROUND + "A group's members read like its strongest member by this cosine.",
    ("apart of polysemantic_neuron", 0.1): (
        ROUND + "Nearly at right angles. With fewer than a hundred senders, chance cosines exceed "
        "it, which loses one planted neuron in ten."
    ),
    ("apart of contrast_to_centre", 0.25): (
        ROUND + "Pixels. If inhibition and excitation are nearer, the kernel has no direction; "
        "kernels of 1 x 1 never have one."
    ),
    ("agreement", 0.5): "The cosine of twice 30 degrees; orientations come round after 180.",
    ("min_inputs", 3): "Two inputs agree by chance too easily.",
    ("min_inputs", 2): "A centre has a border on two sides at least.",
    ("min_score of residual_bypass", 0.5): "The bypass carries more than the block.",
    ("min_score", 0.5): (
        "Half of the largest possible score. For circuits of posed neurons it was fixed before "
        "looking at any network."
    ),
    ("min_score", 0.0): "No limit: rows have a p and a q of their own.",
    ("min_size", 3): "One neuron or two in one branch are no cluster.",
    ("members", 8): (
        "Layers with fewer neurons are left out: their second singular vector is set by one or two "
        "of them. So many outermost neurons of each group are named."
    ),
    ("radius", 4.0): (
        "Pixels of the kernel; the stimulus's own radius is in pixels of the image. In kernels of "
        "3 x 3 an arc of this radius turns the tangent by some 15 degrees."
    ),
    ("transform", "flip_h"): "A choice: the mirror of the thread's examples.",
    ("grouping", "family"): "A choice: curated families, or `kind` after annotation.",
    ("points", "inwards"): "A choice: circles, or `outwards` for evolutes.",
    ("circuit_class", "all"): "A choice: all three classes.",
    ("nulls", 99): "Shuffled matrices a pair of layers; the smallest p is then 0.01.",
    ("seed", 0): "Of the shuffling.",
}
"""Parameter, or parameter of one motif, and default: why."""


def parameters() -> dict[tuple[str, str | float], list[str]]:
    """Motifs by parameter (or parameter of one motif) and default."""
    found: defaultdict[tuple[str, str | float], list[str]] = defaultdict(list)
    for query in library().values():
        if query.topic != "motifs":
            continue
        for parameter in query.parameters:
            if parameter.name not in PLAIN:
                own = f"{parameter.name} of {query.name}", parameter.default
                shared = parameter.name, parameter.default
                found[own if own in REASONS else shared].append(query.name)
    return dict(found)


def table() -> str:
    """One line a parameter and default, in the order of `REASONS`; `KeyError` without a reason."""
    motifs = parameters()
    missing = [key for key in motifs if key not in REASONS]
    if missing:
        raise KeyError(f"no reason for {missing}; add it to benchmarks/thresholds.py")
    lines = [
        [
            f"`{name.split(' of ')[0]}`",
            f"{default:g}" if isinstance(default, float) else str(default),
            ", ".join(f"`{motif}`" for motif in sorted(motifs[name, default])),
            reason,
        ]
        for (name, default), reason in REASONS.items()
    ]
    return markdown("| parameter | default | motifs | why |", "|---|---:|---|---|", lines)
