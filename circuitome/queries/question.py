"""A search for instances of one motif, as a person asks for it, and what of it would say nothing.

An option that would change nothing is refused: who gives it believes that it does something.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from circuitome.queries.errors import QueryError
from circuitome.queries.motifs.motif import Motif, Tested
from circuitome.queries.motifs.registry import BUNDLED, find_motif
from circuitome.queries.motifs.significance import NULLS, check_null_model

__all__ = ["Question"]


@dataclass(frozen=True, slots=True)
class Question:
    """A search for instances of one motif."""

    kind: str
    """A motif of the library (``-`` and ``_`` are the same), or the path of a ``.cypher`` file."""
    model: str | None = None
    """Key of the model; None if the database holds one."""
    parameters: Mapping[str, object] = field(default_factory=dict)
    """Parameters of the motif's query, ``limit`` among them."""
    nulls: int | None = None
    """Number of null networks; None compares with none (a bundle: with its motif's own number)."""
    null_model: str | None = None
    """Null model of p; None is the motif's usual one, and ``signs`` for a file."""
    seed: int | None = None
    """Seed of the null networks; None is 0."""
    bundle: Path | None = None
    """The model's bundle, for motifs of kernels or responses."""
    timeout: float | None = None
    """Seconds for the query; None is the database's own."""

    @property
    def own(self) -> bool:
        """Whether the motif is a query file of the user's."""
        return self.kind.endswith(".cypher")

    @property
    def motif(self) -> Motif | Tested | None:
        """The motif of the library; None for a query file. `QueryError` if there is none."""
        return None if self.own else find_motif(self.kind)

    @property
    def nulls_of_q(self) -> int | None:
        """Number of null networks that a q takes: those asked for, or as many as a summary has.

        None if none are drawn: the rows bring a q of their own, or none.
        """
        untested = self.bundle is not None or isinstance(self.motif, Tested)
        return NULLS if self.nulls is None and not untested else self.nulls

    @property
    def way_to_q(self) -> str:
        """What to ask for if rows have no q."""
        if isinstance(self.motif, Tested) and self.motif.kind in BUNDLED:
            return "its test needs the kernels; give its bundle, as in --bundle BUNDLE"
        return f"ask for null networks, as in --null {NULLS}"

    def check(self) -> None:
        """`QueryError` if something is given that would change nothing, or does not go together."""
        motif = self.motif
        if motif is not None and self.bundle is None:
            check_null_model(motif, self.null_model)
        for problem in self._problems(motif):
            raise QueryError(problem)

    def _problems(self, motif: Motif | Tested | None) -> Iterator[str]:
        if self.bundle is not None:
            yield from self._problems_of_bundle()
        elif self.nulls is None and self.null_model is not None:
            yield (
                "--null-model names the null networks of p, and none are asked for; add "
                f"--null {NULLS}"
            )
        elif self.nulls is None and self.seed is not None:
            yield f"--seed is of null networks, and none are drawn; {_way_to_a_seed(motif)}"

    def _problems_of_bundle(self) -> Iterator[str]:
        if self.own:
            yield f"{self.kind}: a query asks the database, and no bundle; leave out --bundle"
        if self.null_model is not None:
            yield f"{self.kind}: a bundle has null models of its own; leave out --null-model"
        if self.timeout is not None:
            yield "--timeout is of a query, and a bundle is asked without one; leave it out"


def _way_to_a_seed(motif: Motif | Tested | None) -> str:
    if not isinstance(motif, Tested):
        return f"add --null {NULLS}"
    if any(threshold.name == "seed" for threshold in motif.definition.thresholds):
        return f"{motif.kind} has a parameter for it, -p seed=SEED"
    return "leave it out"
