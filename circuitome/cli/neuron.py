"""The command that shows one neuron: what it responds to, its partners, inputs and outputs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Final, TypedDict, cast

import typer

from circuitome.cli.options import DEFAULT_DATABASE, AsJson, DatabaseAddress, NeuronKey
from circuitome.cli.output import named, note, number, plural, print_json, print_table, visible

if TYPE_CHECKING:
    from circuitome.queries.about import Neuron

__all__ = ["neuron", "sparkline"]

_BARS: Final = "▁▂▃▄▅▆▇█"
_WIDTH: Final = 72  # characters of a sparkline: a tuning curve of 720 places would fill the screen
_PREFERRED: Final = (
    ("orientation_deg", "orientation", "degrees"),
    ("frequency", "frequency", "cycles per pixel"),
    ("hue_deg", "hue", "degrees"),
    ("radius_px", "radius", "pixels"),
)
_UNITS: Final = {
    "rotate": "degrees",
    "scale": "octaves",
    "hue": "degrees",
    "hue_rotate": "degrees of hue",
}


class _Facts(TypedDict):
    """A row of the query `annotation`, as far as it is shown beside `_PREFERRED`."""

    neuron: str
    label: str | None
    annotated: str | None
    kind: str | None
    explained: float | None
    p: float | None
    q: float | None
    runner_up: str | None
    orientation_deg: float | None
    frequency: float | None
    hue_deg: float | None
    radius_px: float | None
    selectivity: float | None
    selectivity_sd: float | None
    tuned_to: str | None
    tuning_at: list[float] | None
    tuning: list[float | None] | None
    mean_response: float | None
    sd_response: float | None
    max_response: float | None
    sparsity: float | None
    top_stimuli: list[str] | None


class _Family(TypedDict):
    """A row of the query `families_of`, as far as it is shown."""

    family: str
    group: str | None
    offset: float
    size: int
    source: str | None
    q: float | None


Number = Annotated[
    int,
    typer.Option(
        "--limit",
        metavar="N",
        min=0,
        help="Maximum number of partners, inputs, outputs and stimuli.",
    ),
]


def neuron(
    key: NeuronKey,
    db: DatabaseAddress = DEFAULT_DATABASE,
    limit: Number = 10,
    as_json: AsJson = False,
) -> None:
    """Show what a neuron responds to, its inputs and its outputs.

    Its kind, preferences and tuning curve; partners and families; the stimuli that drive it most;
    its strongest inputs and outputs, with sign and share.

    \b
    Example:
      circuitome neuron squeezenet1_1/features.3.squeeze:5
    """
    from circuitome.queries.about import neuron as neuron_of
    from circuitome.queries.database import open_database

    with open_database(db) as database:
        about = neuron_of(database, key, limit=limit)
    if as_json:
        return print_json([about.row()])
    for line in _lines(about):
        print(visible(line))
    _print_tables(about)
    if not about.facts["annotated"]:
        note(
            "not annotated: `circuitome annotate BUNDLE`, then `circuitome load BUNDLE`, "
            "describe what it responds to"
        )
    return None


def _lines(about: Neuron) -> Iterator[str]:
    """What is known of the neuron itself, a line for each subject that is known."""
    facts = cast("_Facts", about.facts)
    yield facts["neuron"] + (f" ({facts['label']})" if facts["label"] else "")
    for title, text in (
        ("kind", _kind(facts)),
        ("prefers", _preferred(facts)),
        ("tuning", _tuning(facts)),
        ("responses", _responses(facts)),
        ("invariance", _invariance(about.facts)),
    ):
        if text:
            yield f"  {title:<12}{text}"
    for family in about.families:
        yield f"  {'family':<12}{_family(cast('_Family', family))}"
    for place, stimulus in enumerate(facts["top_stimuli"] or ()):
        yield f"  {'' if place else 'answers':<12}{stimulus}"


def _kind(about: _Facts) -> str:
    if about["kind"] is None:
        return ""
    explained = about["explained"]
    details = [
        "" if explained is None else f"explains {explained:.0%} of its variance",
        *named(p=about["p"], q=about["q"]),
        f"then {about['runner_up']}" if about["runner_up"] else "",
    ]
    told = "; ".join(detail for detail in details if detail)
    return about["kind"] + (f" ({told})" if told else "")


def _preferred(about: _Facts) -> str:
    parts = [
        f"{title} {number(value)} {unit}"
        for name, title, unit in _PREFERRED
        if (value := about[name]) is not None
    ]
    if about["selectivity"] is not None:
        error = "" if about["selectivity_sd"] is None else f" ± {about['selectivity_sd']:.2g}"
        parts.append(f"selectivity {number(about['selectivity'])}{error}")
    return "; ".join(parts)


def _tuning(about: _Facts) -> str:
    places, responses = about["tuning_at"], about["tuning"]
    if not places or not responses:
        return ""
    finite = [value for value in responses if value is not None]
    span = f"{number(min(finite))} to {number(max(finite))}" if finite else "no responses"
    curve = f"{number(places[0])} {sparkline(responses)} {number(places[-1])}"
    return f"{curve} ({about['tuned_to']}; {span})"


def sparkline(values: Sequence[float | None]) -> str:
    """A curve in one line of text, from 0 (or a lowest value below 0) to the highest.

    Curves longer than the line are shown as the mean of neighbours; what is missing is a blank.

    >>> sparkline([0.0, 0.5, 1.0, None, 0.25])
    '▁▅█ ▃'
    """
    if len(values) > _WIDTH:
        bounds = [round(place * len(values) / _WIDTH) for place in range(_WIDTH + 1)]
        values = [_mean(values[start:stop]) for start, stop in itertools.pairwise(bounds)]
    known = [value for value in values if value is not None]
    lowest, highest = min([0.0, *known]), max([0.0, *known])
    step = (highest - lowest) / (len(_BARS) - 1) or 1.0
    return "".join(
        " " if value is None else _BARS[int((value - lowest) / step + 0.5)] for value in values
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _responses(about: _Facts) -> str:
    parts = named(
        mean=about["mean_response"], sd=about["sd_response"], maximum=about["max_response"]
    )
    if about["sparsity"] is not None:
        parts.append(f"silent at {about['sparsity']:.0%} of positions")
    return "; ".join(parts)


def _invariance(facts: Mapping[str, object]) -> str:
    return "; ".join(
        f"{name.removeprefix('invariance_')} {value:.2f}"
        for name, value in facts.items()
        if name.startswith("invariance_") and isinstance(value, float)
    )


def _family(family: _Family) -> str:
    place = f"{number(family['offset'])} {_UNITS.get(family['group'] or '', '')}".strip()
    details = [family["group"] or "", plural(family["size"], "neuron"), family["source"] or ""]
    if family["q"] is not None:
        details.append(f"q {number(family['q'])}")
    return f"{family['family']} at {place} ({', '.join(detail for detail in details if detail)})"


_EDGE: Final = ("effect", "share", "weight", "polarity", "rank", "kind", "label")
_TABLES: Final = {
    "partners": (
        *("partner", "transform", "amount", "turn", "score", "baseline", "q", "evidence", "kind"),
    ),
    "inputs": ("sender", *_EDGE),
    "outputs": ("receiver", *_EDGE),
}


def _print_tables(about: Neuron) -> None:
    tables = {"partners": about.partners, "inputs": about.inputs, "outputs": about.outputs}
    for title, found in tables.items():
        if rows := found.to_dicts():
            known = [column for column in _TABLES[title] if _is_known(column, rows)]
            print(f"\n{title}")
            print_table(rows, known)
    if not about.inputs and not about.outputs:
        note(f"{about.facts['neuron']}: no edges")


def _is_known(column: str, rows: Sequence[Mapping[str, object]]) -> bool:
    """Whether any row has a value in a column."""
    return any(row[column] is not None for row in rows)
