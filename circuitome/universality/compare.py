"""Comparing two networks by their response signatures: best matches both ways, aligned layers,
linear read-outs.

`circuitome.universality.ways` says what a match is and when it is believed,
`circuitome.universality.readout` what a read-out is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Final

import numpy as np
import pyarrow as pa

from circuitome.errors import CircuitomeError
from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.schema import arrow_schema
from circuitome.graphdb.signatures import NETWORK, NULL, Signatures
from circuitome.significance import auc
from circuitome.universality.readout import compare_with_twins, read_out
from circuitome.universality.ways import Way, layer_span, match, searched
from circuitome.vocabulary import Q_MAX

__all__ = ["TABLES", "CompareError", "Comparison", "compare", "open_all"]

TABLES: Final = ("ANALOGOUS_TO", "READ_OUT_OF", "ALIGNED_WITH")
"""Relationships that a comparison makes."""


class CompareError(CircuitomeError):
    """Networks that cannot be compared."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found between two networks, both ways."""

    a: str  # keys of the models
    b: str
    tables: Mapping[str, pa.Table]  # of `TABLES`, in the schema's columns
    # one row a layer of either network, in the order of computation
    layers: tuple[Mapping[str, object], ...]
    matrices: Mapping[str, np.ndarray]  # mutual share and CKA, (layers of a, layers of b)
    names: tuple[tuple[str, ...], tuple[str, ...]]  # of these layers
    # rows of preserved edges and motifs, if they were looked for
    circuits: tuple[Mapping[str, object], ...] = ()


def open_all(bundles: Sequence[Bundle]) -> list[Signatures]:
    """The signatures of bundles that can be compared.

    Raises:
        CompareError: fewer than two, two of one model, or different pictures.
        BundleError: a bundle without signatures.
    """
    if len(bundles) < 2:
        raise CompareError("comparing takes two bundles at least")
    opened = [Signatures.open(bundle) for bundle in bundles]
    for number, one in enumerate(opened):
        _check_beside(one, opened[:number])
    return opened


def _check_beside(one: Signatures, others: Sequence[Signatures]) -> None:
    """Refuse a network if another has its key, or was shown other pictures."""
    for other in others:
        if other.model == one.model:
            raise CompareError(
                f"{other.bundle.path} and {one.bundle.path} both hold the model {one.model!r}; "
                "extract one of them again with another --name"
            )
    if others and one.sha256 != others[0].sha256:
        raise CompareError(
            f"{others[0].bundle.path} and {one.bundle.path} were shown different pictures; "
            "make both signatures anew "
            f"with the same --images: `circuitome annotate {one.bundle.path} --parts signatures`"
        )


def compare(
    a: Signatures, b: Signatures, *, report: Callable[[int, int], None] = lambda *_: None
) -> Comparison:
    """Compare two networks; ``report`` is told how many steps are done, and of how many."""
    done = count(1)
    sought = sum(len(searched(copy, len(b.twins))) for copy in range(1 + len(a.twins)))
    total = sought + 3 + len(a.twins) + len(b.twins)

    def step() -> None:
        report(next(done), total)

    ways = match(a, b, step)
    read = [_read_outs(way, step) for way in ways]
    tables = {
        "ANALOGOUS_TO": pa.concat_tables(map(_analogous, ways)),
        "READ_OUT_OF": pa.concat_tables(map(_read_table, ways, read)),
        "ALIGNED_WITH": pa.concat_tables(map(_aligned, ways)),
    }
    layers = tuple(chain.from_iterable(map(_layer_rows, ways, read)))
    matrices = {"mutual matches": ways[0].shares, "linear CKA": ways[0].cka}
    return Comparison(a.model, b.model, tables, layers, matrices, (a.layers, b.layers))


def _analogous(way: Way) -> pa.Table:
    p, q = way.significance
    here, there = way.source.layer_of, way.target.layer_of[way.matched]
    columns = {
        "from": way.source.neuron_keys(),
        "to": way.target.neuron_keys()[way.matched],
        "score": way.scores.astype(float),
        "mutual": way.mutual,
        "p": p,
        "q": q,
        "null": np.full(len(p), NULL),
        "share": way.share_of_possible,
        "depth_from": way.source.depth[here],
        "depth_to": way.target.depth[there],
        "field_from": way.source.field[here],
        "field_to": way.target.field[there],
    }
    return _table("ANALOGOUS_TO", {name: values[way.alive] for name, values in columns.items()})


@dataclass(frozen=True, slots=True)
class _ReadOuts:
    """How well the layer of the target that is most like a neuron's own predicts the neuron."""

    r2: np.ndarray  # (n,) NaN for neurons without a signature
    null: np.ndarray  # (twins of the target, n)
    p: np.ndarray  # (n,)
    q: np.ndarray  # (n,)


def _read_outs(way: Way, step: Callable[[], None]) -> _ReadOuts:
    wanted, found = way.source.copy(), []
    for name in (NETWORK, *way.target.twins):
        found.append(_r2(way, way.target.copy(name), wanted))
        step()
    r2, null = found[0], np.stack(found[1:])
    p, q = way.by_layers(lambda neurons, _: compare_with_twins(r2[neurons], null[:, neurons]))
    return _ReadOuts(r2, null, p, q)


def _r2(way: Way, copy: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """R2 of the source's signatures ``wanted``, read from a copy of the target, ``(n,)``.

    All neurons that are read from one layer are read together.
    """
    found = np.full(len(wanted), np.nan)
    read_from = way.aligned[way.source.layer_of]
    for layer in np.unique(read_from):
        rows = np.flatnonzero((read_from == layer) & way.alive)
        predictors = copy[layer_span(way.target, layer)]
        found[rows] = read_out(predictors, wanted[rows], per_picture=way.source.per_picture)
    return found


def _read_table(way: Way, found: _ReadOuts) -> pa.Table:
    layers = np.array(way.target.layer_keys())[way.aligned]
    columns = {
        "from": way.source.neuron_keys(),
        "to": layers[way.source.layer_of],
        "r2": found.r2,
        "null_r2": found.null.mean(0),
        "p": found.p,
        "q": found.q,
        "null": np.full(len(found.p), NULL),
    }
    return _table("READ_OUT_OF", {name: values[way.alive] for name, values in columns.items()})


def _aligned(way: Way) -> pa.Table:
    """Every pair of layers; their own best matches, not those of the whole networks."""
    score, area = np.transpose([_alike(way, i, j) for i, j in np.ndindex(way.cka.shape)])
    columns = {
        "from": np.repeat(way.source.layer_keys(), len(way.target.layers)),
        "to": np.tile(way.target.layer_keys(), len(way.source.layers)),
        "mutual_share": way.shares.ravel(),
        "cka": way.cka.ravel(),
        "score": score,
        "auc": area,
    }
    return _table("ALIGNED_WITH", columns)


def _alike(way: Way, i: int, j: int) -> tuple[float, float]:
    """Median match of a layer's neurons in a layer of the target, and AUC over twins' neurons."""
    scores = way.by_layer[0, way.living(i), j]
    if not len(scores):
        return np.nan, np.nan
    return _median(scores), auc(scores, way.by_layer[1:, layer_span(way.source, i), j].ravel())


def _layer_rows(way: Way, outs: _ReadOuts) -> Iterator[dict[str, object]]:
    """One row a layer of the source: matches, what null networks reach, and read-outs."""
    for i, layer in enumerate(way.source.layers):
        neurons = way.living(i)
        if len(neurons):
            about = {
                "model": way.source.model,
                "other": way.target.model,
                "layer": layer,
                "depth": float(way.source.depth[i]),
                "neurons": len(neurons),
            }
            yield {
                **about,
                **_scores(way, neurons),
                **_nulls(way, i),
                **_believed(way, neurons),
                **_read(way, i, outs),
            }


def _scores(way: Way, neurons: np.ndarray) -> dict[str, object]:
    share = way.share_of_possible[neurons]
    known = share[np.isfinite(share)]
    return {
        "score": _median(way.scores[neurons]),
        "share": _median(known) if len(known) else None,
    }


def _nulls(way: Way, layer: int) -> dict[str, object]:
    """What twins find and what is found in twins, and how often the layer's neurons beat it."""
    neurons, span = way.living(layer), layer_span(way.source, layer)
    scores, best = way.scores[neurons], way.best[..., span]
    twin_finds, found_in_twin = best[1:, 0].ravel(), best[0, 1:].ravel()
    twin_in_twin = best[1:, 1:].ravel()
    twin_in_twin = twin_in_twin[np.isfinite(twin_in_twin)]
    return {
        "twin_finds": _median(twin_finds),
        "found_in_twin": _median(found_in_twin),
        "twin_in_twin": _median(twin_in_twin),
        "shuffled": _median(way.by_chance[neurons]),
        "auc": auc(scores, twin_in_twin),
        "auc_twin_finds": auc(scores, twin_finds),
        "auc_found_in_twin": auc(scores, found_in_twin),
        "auc_excess": auc(way.excess[0, neurons], way.excess[1:, span].ravel()),
    }


def _believed(way: Way, neurons: np.ndarray) -> dict[str, object]:
    return {
        "significant": float((way.significance[1][neurons] <= Q_MAX).mean()),
        "least_q": 1 / (len(way.source.twins) * len(neurons)),
        "mutual": float(way.mutual[neurons].mean()),
    }


def _read(way: Way, layer: int, outs: _ReadOuts) -> dict[str, object]:
    """How well the layer of the target that is most like this one predicts its neurons."""
    neurons, aligned = way.living(layer), way.aligned[layer]
    return {
        "aligned": way.target.layers[aligned],
        "cka": float(way.cka[layer, aligned]),
        "r2": _median(outs.r2[neurons]),
        "null_r2": _median(outs.null[:, neurons]),
        "read_out": float((outs.q[neurons] <= Q_MAX).mean()),
    }


def _median(values: np.ndarray) -> float:
    return float(np.median(values))


def _table(name: str, columns: Mapping[str, np.ndarray]) -> pa.Table:
    schema = arrow_schema(name)
    arrays = [pa.array(columns[field.name], field.type, from_pandas=True) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)
