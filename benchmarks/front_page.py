"""The finding on the front page: which motifs replicate, where, and which do not.

Every number of the text is a field, filled from `results/motif_findings.jsonl` (the project's
networks) and `results/motif_held_out.jsonl` (networks on which nobody tuned anything).
"""

from __future__ import annotations

import textwrap

from benchmarks.results import Q_MAX, TITLES, Row, grid, read

__all__ = ["finding"]

PLACES = "squeezenet1_1_places365"
SHOWN = (
    ("opponent_pairs", "signs"),
    ("push_pull", "signs"),
    ("posed_pairs", "relabel"),
    ("mirrored_unions", "relabel"),
    ("polysemantic_neuron", "relabel"),
    ("superposition_read_back", "reflect"),
    ("unioning_over_cases", "relabel"),
)
"""Motif, and the null that its number is held against."""
NUMBERS = "none one two three four five six seven eight nine ten eleven twelve".split()  # noqa: SIM905 (as one types them)

INTRODUCTION = (
    "How many times as many instances as the mean of 199 null networks, **bold** if p <= {q_max}. "
    "A dash: neither the network nor a null network has one. Empty: not annotated. SqN is "
    "SqueezeNet, Inc the early half of Inception v3, R a CIFAR ResNet; s0, s1 and s2 are the three "
    "networks that come with the program, and the twin is s0 with the weights of each filter "
    "shuffled."
)
POINTS = (
    "**Opponent pairs and push-pull** (two neurons of a layer with opposite inputs, or with "
    "opposite inputs and outputs) exceed shuffled signs in {opponent_pairs} networks of the table "
    "that have opponent pairs, and in {push_pull} that have push-pull. They did **not** in the "
    "first held-out network that has them, a SqueezeNet 1.1 trained on Places365: "
    "{places_opponent_pairs} and {places_push_pull}. The CIFAR ResNets have none.",
    "**Posed pairs** exceed their null in {posed_pairs} networks that have any, **mirrored "
    "unions** "
    "in {mirrored_unions}, **two groups of inputs** (`polysemantic_neuron`) in "
    "{polysemantic_neuron}. On Places365 the last two hold, {places_mirrored_unions} and "
    "{places_polysemantic_neuron}; of posed pairs it has {places_posed_pairs}.",
    "**Superposition read back** exceeds its null in {superposition_read_back} networks that have "
    "any. It is no mark of learning: of six ResNet-20s, three of them held out, the one that was "
    "hardly trained has most, {untrained_read_back}.",
    "**Bare unions over cases** exceed relabelled channels in {unioning_over_cases} networks that "
    "have any. **Mutual inhibition** has no p: no null model tells it from chance among copies of "
    "neurons.",
    "Some thresholds were chosen on SqueezeNet 1.1, so its own column is no independent evidence.",
)


def finding() -> str:
    """The table and the text of the section, in Markdown."""
    values = _values()
    points = [f"- {point.format(**values)}" for point in POINTS]
    parts = [
        _wrapped(INTRODUCTION.format(q_max=Q_MAX)),
        grid(read("motif_findings"), SHOWN, TITLES).rstrip("\n"),
        "\n".join(_wrapped(point, indent="  ") for point in points),
    ]
    return "\n".join(f"{part}\n" for part in parts)


def _values() -> dict[str, str]:
    """What fills the fields of the text."""
    values = {motif: _replicated(motif, null) for motif, null in SHOWN}
    for motif, null in SHOWN[:5]:
        values[f"places_{motif}"] = _held_out(motif, null, PLACES)
    values["untrained_read_back"] = _held_out("superposition_read_back", "reflect", "resnet20_f")
    return values


def _replicated(motif: str, null: str) -> str:
    """In how many networks with an instance p is at most 0.05."""
    rows = [row for row in read("motif_findings") if (row["motif"], row["null"]) == (motif, null)]
    having = [row for row in rows if row["found"]]
    exceeding = sum(row["p"] <= Q_MAX for row in having)
    return f"{NUMBERS[exceeding]} of the {NUMBERS[len(having)]}"


def _held_out(motif: str, null: str, network: str) -> str:
    row = _row("motif_held_out", motif, null, network)
    if row["mean"] is None:
        return NUMBERS[0] if not row["found"] else str(row["found"])  # no null was drawn
    return f"{row['found']} against {row['mean']:g} (p = {row['p']:g})"


def _row(file: str, motif: str, null: str, network: str) -> Row:
    asked = (motif, null, network)
    return next(row for row in read(file) if (row["motif"], row["null"], row["network"]) == asked)


def _wrapped(text: str, *, indent: str = "") -> str:
    return textwrap.fill(
        text, 100, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
