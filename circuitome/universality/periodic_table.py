"""The periodic table of features: as rows to show, and as CSV."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from typing import Final

from circuitome.universality.features import Feature, gathered

__all__ = ["grid", "table_csv"]

_BANDS: Final = 10  # rows of the table


def grid(found: Sequence[Feature], *, named: int = 1) -> list[dict[str, str]]:
    """The table as rows by tenths of the depth and columns by kind, the commonest first.

    A cell names its first features, ``u1x5`` for one of five networks, and counts the rest.
    """
    number = Counter(one.kind or "" for one in found)
    kinds = [kind for kind, _ in number.most_common()]
    cells = gathered(((_band(one), one.kind or ""), f"{one.key}x{one.models}") for one in found)
    rows = []
    for band in sorted({band for band, _ in cells}):
        texts = {kind or "(no kind)": _cell(cells.get((band, kind), []), named) for kind in kinds}
        rows.append({"depth": f"{band / _BANDS:.1f}-{(band + 1) / _BANDS:.1f}"} | texts)
    return rows


def _band(feature: Feature) -> int:
    return min(int(feature.depth * _BANDS + 1e-9), _BANDS - 1)


def _cell(features: Sequence[str], named: int) -> str:
    rest = f" +{len(features) - named}" if len(features) > named else ""
    return " ".join(features[:named]) + rest


def table_csv(found: Sequence[Feature]) -> str:
    """The table as CSV, one line a feature; its neurons are parted by blanks."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("feature", "models", "size", "depth", "kind", "family", "score", "neurons"))
    writer.writerows([*list(one.row().values())[:-1], " ".join(one.members)] for one in found)
    return text.getvalue()
