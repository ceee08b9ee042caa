"""A saved motif drawn in text: its neurons, and a grid of edges for each layer that they reach.

::

    to            case 1         case 2
    source 1   +  12% #1      -   8% #3
               # + ·          = - ·
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypedDict, cast

from circuitome.cli.output import number, visible

if TYPE_CHECKING:
    from circuitome.graphdb.rows import Row
    from circuitome.queries.about import Kernel
    from circuitome.queries.motifs.saved import Instance

__all__ = ["Edge", "drawing", "glyphs"]

_COLUMNS: Final = 4  # receivers side by side; more are written one edge a line
_LISTED: Final = 12  # members of a role, and edges of a list, that are written out
_LEGEND: Final = (
    "+ excites, - inhibits; %: share of the receiver's squared fan-in norm; "
    "#1: the receiver's strongest input of all"
)
_GLYPHS: Final = (
    "kernels, each on its own scale: # + excite, = - inhibit "
    "(# and = at least half of the largest), · little"
)


class Edge(TypedDict):
    """An edge between neurons of the motif, or into them."""

    sender: str
    receiver: str
    weight: float
    share: float
    rank: int
    kernel: int


def glyphs(kernel: Kernel) -> list[str]:
    """A kernel as rows of characters; rows run down, columns to the right.

    >>> glyphs([[1.0, 0.3, 0.0], [-0.3, -0.9, 0.1]])
    ['# + ·', '- = ·']
    """
    largest = max((abs(value) for row in kernel for value in row), default=0.0)
    return [
        " ".join(_glyph(value / largest if largest else 0.0) for value in row) for row in kernel
    ]


def _glyph(value: float) -> str:
    if abs(value) < 1 / 6:
        return "·"
    return ("#" if value > 0 else "=") if abs(value) >= 0.5 else "+" if value > 0 else "-"


def drawing(
    instance: Instance,
    *,
    kernels: Mapping[int, Kernel] | None = None,
    shared: Sequence[Row] = (),
) -> Iterator[str]:
    """The lines of the drawing.

    ``kernels`` are those of the edges by their number; ``shared`` are edges from inputs that two
    neurons share, drawn if no edge joins the neurons of the motif.
    """
    motif, taps = instance.motif, kernels or {}
    names = _names(motif)
    yield from _heading(motif)
    yield ""
    yield from _cast(instance, names)
    grids = list(_grids(cast("Sequence[Edge]", instance.edges), names, taps))
    if not grids and shared:
        edges = cast("Sequence[Edge]", shared)
        inputs = {edge["sender"]: _short(edge["sender"], motif["model"]) for edge in edges}
        first = next(_grids(edges, names | inputs, taps))
        yield from ("", *first, "")
        yield "no edge joins these; above are the strongest of the inputs that they share"
    elif not grids:
        yield ""
        yield "no edge joins these; `circuitome circuit NEURON` shows what feeds one"
    else:
        for grid in grids:
            yield from ("", *grid)
        yield ""
    if grids or shared:
        yield _LEGEND
    if any(map(_spatial, taps.values())):
        yield _GLYPHS


def _spatial(kernel: Kernel) -> bool:
    """Whether a kernel has more than one tap."""
    return len(kernel) > 1 or len(kernel[0]) > 1


def _heading(motif: Mapping[str, Any]) -> Iterator[str]:
    yield visible(f"{motif['kind']} {motif['key']} in {motif['model']}", lines=False)
    if motif["title"]:
        yield visible(motif["title"], lines=False)
    parts = [f"score {number(motif['score'])}"] if motif["score"] is not None else []
    parts += [f"{name} {number(motif[name])}" for name in ("p", "q") if motif[name] is not None]
    against = (
        f", against `{motif['null']}`"
        if motif["null"]
        else "; a candidate, since no null model was asked for"
    )
    yield visible(", ".join(parts) + against, lines=False)


def _names(motif: Mapping[str, Any]) -> dict[str, str]:
    """Names of the members: the role, numbered if several play it; the key if too many do."""
    names: dict[str, str] = {}
    for role, keys in motif["roles"].items():
        for place, key in enumerate(keys, start=1):
            name = visible(f"{role} {place}" if len(keys) > 1 else role, lines=False)
            if place > _LISTED:
                names.setdefault(key, _short(key, motif["model"]))
            else:
                names[key] = f"{names[key]}, {name}" if key in names else name
    return names


def _cast(instance: Instance, names: Mapping[str, str]) -> Iterator[str]:
    """A line a member: its part, its key without the model, what it responds to."""
    about = {member["neuron"]: member for member in instance.neurons}
    shown = list(
        dict.fromkeys(key for keys in instance.motif["roles"].values() for key in keys[:_LISTED])
    )
    short = {key: _short(key, instance.motif["model"]) for key in shown}
    widths = [
        max(map(len, texts), default=0) for texts in ([names[key] for key in shown], short.values())
    ]
    for key in shown:
        details = [
            visible(str(about[key][what]), lines=False)
            for what in ("kind", "label")
            if about.get(key, {}).get(what)
        ]
        line = f"  {names[key]:<{widths[0]}}  {short[key]:<{widths[1]}}  {', '.join(details)}"
        yield line.rstrip()
    if len(shown) < len(names):
        yield f"  and {len(names) - len(shown)} more"


def _short(key: str, model: str) -> str:
    return visible(key.removeprefix(f"{model}/"), lines=False)


def _grids(
    edges: Sequence[Edge], names: Mapping[str, str], kernels: Mapping[int, Kernel]
) -> Iterator[list[str]]:
    """A grid for each step of the way, senders down; a list if there are too many receivers."""
    steps = _steps(edges)
    for step in sorted({steps[edge["receiver"]] for edge in edges}):
        here = [edge for edge in edges if steps[edge["receiver"]] == step]
        receivers = {edge["receiver"] for edge in here}
        yield _list(here, names) if len(receivers) > _COLUMNS else _grid(here, names, kernels)


def _list(edges: Sequence[Edge], names: Mapping[str, str]) -> list[str]:
    """The strongest edges, a line for each."""
    strongest = sorted(edges, key=lambda edge: -edge["share"])
    lines = [_line(edge, names) for edge in strongest[:_LISTED]]
    return lines + [f"  and {len(edges) - _LISTED} weaker ones"] * (len(edges) > _LISTED)


def _grid(
    edges: Sequence[Edge], names: Mapping[str, str], kernels: Mapping[int, Kernel]
) -> list[str]:
    """Senders down, receivers across, both in the order of the roles."""
    order = list(names)
    senders = sorted({edge["sender"] for edge in edges}, key=order.index)
    receivers = sorted({edge["receiver"] for edge in edges}, key=order.index)
    cells = {
        (edge["sender"], edge["receiver"]): _cell(edge, kernels.get(edge["kernel"]))
        for edge in edges
    }
    rows = [[cells.get((one, other), ["no edge"]) for other in receivers] for one in senders]
    return _table([names[key] for key in senders], [names[key] for key in receivers], rows)


def _steps(edges: Sequence[Edge]) -> dict[str, int]:
    """The largest number of edges on a way to each neuron; edges run to later layers."""
    steps: dict[str, int] = {end: 0 for edge in edges for end in (edge["sender"], edge["receiver"])}
    for _ in steps:
        for edge in edges:
            steps[edge["receiver"]] = max(steps[edge["receiver"]], steps[edge["sender"]] + 1)
    return steps


def _cell(edge: Edge, kernel: Kernel | None) -> list[str]:
    """An edge as lines: sign, share and rank, then its kernel where it has more than one tap."""
    head = f"{'+' if edge['weight'] >= 0 else '-'} {_percent(edge['share'])}  #{edge['rank']}"
    if kernel is None or not _spatial(kernel):
        return [head]
    return [head, *(f"  {line}" for line in glyphs(kernel))]


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def _line(edge: Edge, names: Mapping[str, str]) -> str:
    return f"  {names[edge['sender']]} to {names[edge['receiver']]}: {_cell(edge, None)[0]}"


def _table(
    rows: Sequence[str], columns: Sequence[str], cells: Sequence[Sequence[Sequence[str]]]
) -> list[str]:
    """Lines of a grid whose cells are several lines high."""
    titles = [f"to {name}" for name in columns]
    widths = [max(map(len, ["from", *rows]))]
    widths += [
        max(len(title), *(len(line) for row in cells for line in row[place]))
        for place, title in enumerate(titles)
    ]
    lines = [["from", *titles]]
    for name, row in zip(rows, cells, strict=True):
        lines += _side_by_side([[name], *row])
    while not lines[-1]:
        lines.pop()
    return [
        "  " + "    ".join(map(str.ljust, parts, widths)).rstrip() if parts else ""
        for parts in lines
    ]


def _side_by_side(blocks: Sequence[Sequence[str]]) -> list[list[str]]:
    """Lines of the blocks, each filled up with empty ones; an empty line below tall blocks."""
    height = max(map(len, blocks))
    lines = [[*parts] for parts in itertools.zip_longest(*blocks, fillvalue="")]
    return lines + [[]] * (height > 1)
