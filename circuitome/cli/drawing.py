"""A saved motif drawn in text: its neurons, and a grid of edges for each layer that they reach.

::

    to            case 1         case 2
    source 1   +  12% #1      -   8% #3
               # + ·          = - ·
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypedDict, cast

from circuitome.cli.output import named, visible

if TYPE_CHECKING:
    from circuitome.graphdb.rows import Row
    from circuitome.queries.about import Kernel
    from circuitome.queries.motifs.saved import Instance, Member, SavedMotif

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
    """A kernel as rows of characters; rows run down, columns to the right. Of a volume the slices
    are below one another, the nearest first.

    >>> glyphs([[1.0, 0.3, 0.0], [-0.3, -0.9, 0.1]])
    ['# + ·', '- = ·']
    >>> glyphs([[[1.0, 0.0]], [[0.0, -1.0]]])
    ['# ·', '', '· =']
    """
    slices = _slices(kernel)
    largest = max((abs(tap) for rows in slices for row in rows for tap in row), default=0.0)
    lines: list[str] = []
    for rows in slices:
        lines += ["", *(_glyph_line(row, largest or 1.0) for row in rows)]
    return lines[1:]


def _slices(kernel: Kernel) -> Sequence[Sequence[Sequence[float]]]:
    """The slices of a kernel; one that is no volume is the only one."""
    deep = isinstance(kernel[0][0], Sequence)
    return cast("Sequence[Sequence[Sequence[float]]]", kernel if deep else [kernel])


def _glyph_line(row: Sequence[float], largest: float) -> str:
    return " ".join(_glyph(value / largest) for value in row)


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
    yield ""
    if instance.edges:
        for grid in _grids(instance.edges, names, taps):
            yield from (*grid, "")
    elif shared:
        edges = cast("Sequence[Edge]", shared)
        yield from _shared_grid(edges, names, taps, model=motif["model"])
    else:
        yield "no edge joins these; `circuitome circuit NEURON` shows what feeds one"
    if instance.edges or shared:
        yield _LEGEND
    if any(map(_spatial, taps.values())):
        yield _GLYPHS


def _shared_grid(
    edges: Sequence[Edge],
    names: Mapping[str, str],
    kernels: Mapping[int, Kernel],
    *,
    model: str,
) -> Iterator[str]:
    """A grid of edges from inputs that the neurons share."""
    inputs = {edge["sender"]: _short(edge["sender"], model) for edge in edges}
    yield from next(_grids(edges, {**names, **inputs}, kernels))
    yield ""
    yield "no edge joins these; above are the strongest of the inputs that they share"


def _spatial(kernel: Kernel) -> bool:
    """Whether a kernel has more than one tap."""
    slices = _slices(kernel)
    return max(len(slices), len(slices[0]), len(slices[0][0])) > 1


def _heading(motif: SavedMotif) -> Iterator[str]:
    yield visible(f"{motif['kind']} {motif['key']} in {motif['model']}", lines=False)
    if motif["title"]:
        yield visible(motif["title"], lines=False)
    parts = named(score=motif["score"], p=motif["p"], q=motif["q"])
    against = (
        f", against `{motif['null']}`"
        if motif["null"]
        else "; a candidate, since no null model was asked for"
    )
    yield visible(", ".join(parts) + against, lines=False)


def _names(motif: SavedMotif) -> dict[str, str]:
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
    about = {member["neuron"]: _about(member) for member in instance.neurons}
    listed = (keys[:_LISTED] for keys in instance.motif["roles"].values())
    shown = list(dict.fromkeys(itertools.chain.from_iterable(listed)))
    short = {key: _short(key, instance.motif["model"]) for key in shown}
    name_width = max((len(names[key]) for key in shown), default=0)
    key_width = max(map(len, short.values()), default=0)
    for key in shown:
        line = f"  {names[key]:<{name_width}}  {short[key]:<{key_width}}  {about.get(key, '')}"
        yield line.rstrip()
    if len(shown) < len(names):
        yield f"  and {len(names) - len(shown)} more"


def _about(member: Member) -> str:
    """What a neuron responds to, and what it stands for."""
    known = filter(None, (member["kind"], member["label"]))
    return ", ".join(visible(text, lines=False) for text in known)


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
    rows = []
    for sender in senders:
        rows.append([cells.get((sender, receiver), ["no edge"]) for receiver in receivers])
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
    for place, title in enumerate(titles):
        texts = itertools.chain.from_iterable(row[place] for row in cells)
        widths.append(max(map(len, [title, *texts])))
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
