"""The answer of a query: an immutable table, read as dictionaries, Arrow or pandas."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Rows", "plain"]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a query, in its order.

    >>> rows = Rows.of([{"layer": "toy/conv1", "channels": 8}])
    >>> len(rows), rows.columns, next(iter(rows))
    (1, ('layer', 'channels'), {'layer': 'toy/conv1', 'channels': 8})
    """

    table: pa.Table

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, object]], schema: pa.Schema | None = None) -> Rows:
        """Rows from dictionaries; ``schema`` names the columns where there may be no rows."""
        return cls(pa.Table.from_pylist(list(rows), schema=schema))

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self.table.column_names)

    def __len__(self) -> int:
        return self.table.num_rows

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self.table.to_batches():
            yield from batch.to_pylist()

    def to_arrow(self) -> pa.Table:
        """The rows as an Arrow table."""
        return self.table

    def to_pandas(self) -> pd.DataFrame:
        """The rows as a pandas data frame."""
        return self.table.to_pandas()

    def to_dicts(self) -> list[dict[str, Any]]:
        """The rows as dictionaries that JSON can hold; what is not finite becomes None."""
        return [plain(row) for row in self]

    def head(self, limit: int) -> Rows:
        """The first ``limit`` rows."""
        return Rows(self.table.slice(0, limit))


def plain(value: Any) -> Any:
    """A value as JSON can hold it; what is not finite becomes None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    return value if value is None or isinstance(value, bool | int | str) else _scalar(value)


def _scalar(value: Any) -> Any:
    """Whatever else an engine may return: an integral Decimal as an integer, dates as text."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    return int(value) if number.is_integer() else plain(number)
