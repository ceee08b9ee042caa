"""What people and programs see: tables, JSON, messages and progress."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID
    from rich.table import Table

    from circuitome.graphdb.stores.protocol import Progress

__all__ = [
    "named",
    "note",
    "number",
    "plural",
    "print_json",
    "print_table",
    "progress",
    "show_rows",
    "visible",
]


def show_rows(
    rows: Sequence[Mapping[str, object]],
    *,
    as_json: bool,
    columns: Sequence[str] = (),
    empty: str = "",
) -> None:
    """Print rows as one JSON array or as a table; ``empty`` is the message if there are none."""
    if as_json:
        print_json(rows)
    elif rows:
        print_table(rows, columns or list(rows[0]))
    elif empty:
        note(empty)


def print_json(rows: Sequence[Mapping[str, object]]) -> None:
    """One array on stdout, a row object on each line; numbers that are not finite become null."""
    from circuitome.queries.rows import plain

    lines = [json.dumps(plain(dict(row)), ensure_ascii=False, allow_nan=False) for row in rows]
    print(_HIDDEN.sub(_json_escape, "[" + ",\n ".join(lines) + "]"))


_HIDDEN: Final = re.compile(
    r"[\x7f-\xa0\xad\u0600-\u0605\u061c\u180e\u200b-\u200f\u2028-\u202f"
    r"\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb]"
)
"""What a terminal may obey or hide, and JSON allows: C1 controls, direction, surrogates."""


def _json_escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match.group()):04x}"


def print_table(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> None:
    """A table on stdout: as wide as the terminal, or as it needs to be in a file or a pipe."""
    from rich.console import Console

    # into a text, since Rich itself would end the program with 1 if it met a closed pipe
    text = io.StringIO()
    console = Console(file=text, force_terminal=sys.stdout.isatty() or None)
    if not console.is_terminal:
        console.width = 100_000
    console.print(_table(rows, columns))
    sys.stdout.write(text.getvalue())


def _table(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> Table:
    """The rows as Rich draws them, numbers on the right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        values = [row.get(column) for row in rows]
        numeric = all(value == "-" or isinstance(value, int | float | None) for value in values)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(row.get(column))) for column in columns))
    return table


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return number(value)
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_cell(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_cell, value))
    return visible(str(value), lines=False)


def visible(text: str, *, lines: bool = True) -> str:
    r"""Text with escapes for what a terminal would obey or hide; ``lines`` keeps line ends.

    >>> visible("\x1b[31mred\n")
    '\\x1b[31mred\n'
    """
    if text.isprintable():
        return text
    kept = "\n\t" if lines else ""
    return "".join(
        char if char.isprintable() or char in kept else ascii(char)[1:-1] for char in text
    )


def note(message: str) -> None:
    """A message for people, on stderr."""
    print(visible(message), file=sys.stderr)


def number(value: float) -> str:
    """A number with four digits, as tables show it.

    >>> number(45.0), number(0.123456)
    ('45', '0.1235')
    """
    return f"{value:.4g}"


def named(**values: float | None) -> list[str]:
    """The numbers that are known, each after its name.

    >>> named(p=0.01, q=None)
    ['p 0.01']
    """
    return [f"{name} {number(value)}" for name, value in values.items() if value is not None]


def plural(number: int, noun: str) -> str:
    """A number with its noun.

    >>> plural(1, "neuron"), plural(12345, "neuron")
    ('1 neuron', '12,345 neurons')
    """
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


@contextmanager
def progress() -> Iterator[Progress]:
    """Bars on stderr, one for each stage, gone when the work is done; none without a terminal."""
    with _bars() as bars:
        tasks: dict[str, TaskID] = {}

        def update(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield update


def _bars() -> Bars:
    """Bars on stderr that leave nothing behind."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    return Bars(*columns, console=console, transient=True, disable=not console.is_terminal)
