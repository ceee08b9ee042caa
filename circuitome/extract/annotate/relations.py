"""What the neurons of one layer are to each other: pairs, families and invariance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TypedDict

import numpy as np

from circuitome.extract.annotate.families import Found, FoundRecord, find_families
from circuitome.extract.annotate.pairs import Pair, find_pairs
from circuitome.extract.annotate.scoring import LayerScores
from circuitome.vocabulary import Q_MAX

__all__ = ["Relations", "pairs_from_json", "pairs_to_json"]


class PairRecord(TypedDict):
    """A `Pair` as a record keeps it."""

    i: int
    j: int
    group: str
    amount: float
    score: float
    baseline: float
    p: float
    q: float
    turn: float


class RelationsRecord(TypedDict):
    """What `Relations.to_json` gives, as a record keeps it."""

    searched: bool
    invariance: dict[str, list[float]]
    pairs: list[PairRecord]
    families: list[FoundRecord]
    chance: dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Relations:
    """Pairs, families and invariances of one layer; q of families needs all layers and comes
    later.
    """

    searched: bool
    """Whether pairs were looked for."""
    invariance: Mapping[str, np.ndarray]
    """By group, ``(C,)``: lowest correlation of a neuron with itself under it."""
    pairs: Sequence[Pair]
    """Those of q up to `Q_MAX`."""
    families: Sequence[Found]
    chance: Mapping[str, np.ndarray]
    """By group, ``(S,)``: strength of the strongest family of each null layer."""

    @classmethod
    def of(cls, scores: LayerScores, *, families: bool) -> Relations:
        """Read the scores of a layer; families are looked for only if asked."""
        asked = [group for group in scores.groups if families and group.group != "hue_rotate"]
        searched = {group.group: find_families(group) for group in asked}
        return cls(
            searched=bool(scores.groups),
            invariance=scores.invariance,
            pairs=[pair for pair in find_pairs(scores.groups) if pair.q <= Q_MAX],
            families=[family for found, _ in searched.values() for family in found],
            chance={group: chance for group, (_, chance) in searched.items()},
        )

    def to_json(self) -> dict[str, object]:
        """Plain data for a record."""
        return {
            "searched": self.searched,
            "invariance": {group: own.tolist() for group, own in self.invariance.items()},
            "pairs": pairs_to_json(self.pairs),
            "families": [family.to_json() for family in self.families],
            "chance": {group: strengths.tolist() for group, strengths in self.chance.items()},
        }

    @classmethod
    def from_json(cls, data: RelationsRecord) -> Relations:
        """From what `to_json` gives."""
        return cls(
            searched=data["searched"],
            invariance={group: np.array(own) for group, own in data["invariance"].items()},
            pairs=pairs_from_json(data["pairs"]),
            families=[Found.from_json(family) for family in data["families"]],
            chance={group: np.array(strengths) for group, strengths in data["chance"].items()},
        )


def pairs_to_json(pairs: Sequence[Pair]) -> list[PairRecord]:
    """Pairs as plain data, one object each."""
    return [PairRecord(**asdict(pair)) for pair in pairs]


def pairs_from_json(rows: Sequence[PairRecord]) -> list[Pair]:
    """From what `pairs_to_json` gives."""
    return [Pair(**row) for row in rows]
