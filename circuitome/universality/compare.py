"""Comparing two networks by their response signatures: best matches both ways, aligned layers,
linear read-outs.

**Matches.** The best match of a neuron is sought among all neurons of the other network, whatever
their layer. The null is looked for as widely, in *twins*. What counts is a neuron's *excess*: its
score less what it finds in twins (in Fisher's z) of the other network, since a neuron with a simple
taste finds something like it everywhere. It has to beat the excess of neurons of the same layer in
twins of its own network (does a random neuron find as much?), and that of one twin of the other
network over the rest (is there as much in a random network?). p and q are the larger of the two,
pooled over the neurons of a layer.

**Ceiling.** A match's ``share`` is its score over the geometric mean of both neurons'
reliabilities: 1 where the two are as alike as each is to itself a little displaced; it can be more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from circuitome.errors import CircuitomeError
from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.schema import arrow_schema
from circuitome.graphdb.signatures import Signatures
from circuitome.significance import auc, empirical_p, target_decoy_q
from circuitome.universality.alignment import linear_cka, mutual_shares, own_squares
from circuitome.universality.matching import Products, multiply, mutual_best, shuffled
from circuitome.universality.readout import compare_with_twins, read_out
from circuitome.vocabulary import Q_MAX

__all__ = ["NULL", "TABLES", "CompareError", "Comparison", "compare", "open_all"]

NULL: Final = "twins"
"""Null model of every p and q: networks with the entries of each filter permuted."""
_MOST_CORRELATION: Final = 1 - 1e-6  # correlations count up to here: a copy's is 1
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
    layers: tuple[
        Mapping[str, Any], ...
    ]  # one row a layer of either network, in the order of computation
    matrices: Mapping[str, np.ndarray]  # mutual share and CKA, (layers of a, layers of b)
    names: tuple[tuple[str, ...], tuple[str, ...]]  # of these layers
    circuits: tuple[
        Mapping[str, Any], ...
    ] = ()  # rows of preserved edges and motifs, where they were looked for


@dataclass(frozen=True, slots=True)
class _Way:
    """Matches of one network's neurons in another."""

    source: Signatures
    target: Signatures
    alive: np.ndarray  # (n,) bool: neurons that have a signature
    scores: np.ndarray  # (n,)
    place: np.ndarray  # (n,) the neuron of the target
    mutual: np.ndarray  # (n,) bool
    by_layer: np.ndarray  # (n, target layers)
    queries: np.ndarray  # (twins, n, target layers): what twins' neurons of the source find
    candidates: (
        np.ndarray
    )  # (target's twins, n): what the source's neurons find in twins of the target
    crossed: np.ndarray  # (source's twins, target's twins, n): what twins' neurons find in twins
    chance: np.ndarray  # (n,) what is found where every channel's pictures are shuffled
    cka: np.ndarray  # (source layers, target layers)
    shares: np.ndarray  # (source layers, target layers) mutual matches


def open_all(bundles: Sequence[Bundle]) -> list[Signatures]:
    """The signatures of bundles that can be compared; otherwise `CompareError` or `BundleError`
    with the cure.
    """
    if len(bundles) < 2:
        raise CompareError("comparing takes two bundles at least")
    opened = [Signatures.open(bundle) for bundle in bundles]
    for number, one in enumerate(opened):
        if twice := next((other for other in opened[:number] if other.model == one.model), None):
            raise CompareError(
                f"{twice.bundle.path} and {one.bundle.path} both hold the model {one.model!r}; "
                "extract one of them again with another --name"
            )
        if one.sha256 != opened[0].sha256:
            raise CompareError(
                f"{opened[0].bundle.path} and {one.bundle.path} were shown different pictures; "
                "make both signatures anew "
                f"with the same --images: `circuitome annotate {one.bundle.path} --parts "
                "signatures`"
            )
    return opened


def compare(
    a: Signatures, b: Signatures, *, report: Callable[[int, int], None] = lambda *_: None
) -> Comparison:
    """Compare two networks; the signatures of one copy of each are in memory at a time."""
    total, done = (1 + len(a.twins)) * (1 + len(b.twins)) + 3 + len(a.twins) + len(b.twins), 0

    def step() -> None:
        nonlocal done
        done += 1
        report(done, total)

    ways = _match(a, b, step)
    read = [_read_outs(way, step) for way in ways]
    layers = [row for way, outs in zip(ways, read, strict=True) for row in _layer_rows(way, outs)]
    tables = {
        "ANALOGOUS_TO": pa.concat_tables([_analogous(way) for way in ways]),
        "READ_OUT_OF": pa.concat_tables(
            [_read_table(way, outs) for way, outs in zip(ways, read, strict=True)]
        ),
        "ALIGNED_WITH": pa.concat_tables([_aligned(way) for way in ways]),
    }
    matrices = {"mutual matches": ways[0].shares, "linear CKA": ways[0].cka}
    return Comparison(a.model, b.model, tables, tuple(layers), matrices, (a.layers, b.layers))


def _match(a: Signatures, b: Signatures, step: Callable[[], None]) -> tuple[_Way, _Way]:
    """Matches both ways: each product of all with all serves both."""

    def products(rows: np.ndarray, columns: np.ndarray) -> Products:
        found = multiply(rows, a.starts, columns, b.starts)
        step()
        return found

    own_a, own_b = a.copy(), b.copy()
    found = products(own_a, own_b)
    cka = linear_cka(found, own_squares(own_a, a.starts), own_squares(own_b, b.starts))
    shares = mutual_shares(found, a.layer_of, b.layer_of)
    chance = products(shuffled(own_a, a.per_picture, seed=0), own_b)
    copies = [b.copy(name) for name in b.twins]
    twins_a, both = [], []
    for rows in map(a.copy, a.twins):
        twins_a.append(products(rows, own_b))
        both.append([products(rows, columns) for columns in copies])
    twins_b = [products(own_a, columns) for columns in copies]
    there = _Way(
        source=a,
        target=b,
        alive=np.any(own_a, axis=1),
        scores=found.of_rows,
        place=found.column_of,
        mutual=mutual_best(found),
        by_layer=found.by_column_layer,
        queries=np.stack([null.by_column_layer for null in twins_a]),
        candidates=np.stack([null.of_rows for null in twins_b]),
        crossed=np.array([[null.of_rows for null in nulls] for nulls in both]),
        chance=chance.of_rows,
        cka=cka,
        shares=shares,
    )
    back = _Way(
        source=b,
        target=a,
        alive=np.any(own_b, axis=1),
        scores=found.of_columns,
        place=found.row_of,
        mutual=found.column_of[found.row_of] == np.arange(len(found.row_of)),
        by_layer=found.by_row_layer.T,
        queries=np.stack([null.by_row_layer.T for null in twins_b]),
        candidates=np.stack([null.of_columns for null in twins_a]),
        crossed=np.array([[null.of_columns for null in nulls] for nulls in both]).swapaxes(0, 1),
        chance=chance.of_columns,
        cka=cka.T,
        shares=shares.T,
    )
    return there, back


def _rows_of(signatures: Signatures, layer: int) -> slice:
    return slice(int(signatures.starts[layer]), int(signatures.starts[layer + 1]))


def _excess(way: _Way) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How much more a neuron finds than in twins of the target ``(n,)``, and both nulls of that
    ``(twins, n)``.

    The nulls: the same of the neurons of the source's twins, and of each twin of the target over
    the others.
    """
    queries = _stretched(way.queries.max(2)) - _stretched(way.crossed).mean(1)
    candidates = _stretched(way.candidates)
    others = (candidates.sum(0) - candidates) / (len(candidates) - 1)
    return _stretched(way.scores) - candidates.mean(0), queries, candidates - others


def _stretched(scores: np.ndarray) -> np.ndarray:
    """Fisher's z of correlations: differences then mean the same near 1, where first layers
    are, as near 0.
    """
    return np.arctanh(np.clip(scores, -_MOST_CORRELATION, _MOST_CORRELATION).astype(float))


def _significance(way: _Way) -> tuple[np.ndarray, np.ndarray]:
    """p and q of every neuron's match, ``(n,)`` each; 1 for those without a signature."""
    excess, queries, candidates = _excess(way)
    p, q = np.ones(len(way.scores)), np.ones(len(way.scores))
    for layer in range(len(way.source.layers)):
        rows = np.arange(len(way.scores))[_rows_of(way.source, layer)]
        alive = rows[way.alive[rows]]
        tests = [
            (empirical_p(excess[alive], null), target_decoy_q(excess[alive], null, copies=copies))
            for null, copies in (
                (queries[:, rows].reshape(-1), len(queries)),
                (candidates[:, rows].reshape(-1), len(candidates)),
            )
        ]
        p[alive], q[alive] = np.max(tests, 0)
    return p, q


def _shares_of_possible(way: _Way) -> np.ndarray:
    """Scores over the geometric mean of both reliabilities; NaN where either is none."""
    product = way.source.reliability * way.target.reliability[way.place]
    product = np.where(product > 0, product, np.nan)
    return way.scores / np.sqrt(product)


def _analogous(way: _Way) -> pa.Table:
    p, q = _significance(way)
    here, there = way.source.layer_of, way.target.layer_of[way.place]
    columns = {
        "from": way.source.neuron_keys(),
        "to": way.target.neuron_keys()[way.place],
        "score": way.scores.astype(float),
        "mutual": way.mutual,
        "p": p,
        "q": q,
        "null": np.full(len(p), NULL),
        "share": _shares_of_possible(way),
        "depth_from": way.source.depth[here],
        "depth_to": way.target.depth[there],
        "field_from": way.source.field[here],
        "field_to": way.target.field[there],
    }
    return _table("ANALOGOUS_TO", {name: values[way.alive] for name, values in columns.items()})


@dataclass(frozen=True, slots=True)
class _ReadOuts:
    """How well a layer of the target predicts each of the source's neurons."""

    layer: np.ndarray  # (source layers,) which one: the most alike by CKA
    r2: np.ndarray  # (n,) NaN for neurons without a signature
    null: np.ndarray  # (twins of the target, n)
    p: np.ndarray  # (n,)
    q: np.ndarray  # (n,)


def _read_outs(way: _Way, step: Callable[[], None]) -> _ReadOuts:
    aligned, wanted = way.cka.argmax(1), way.source.copy()
    chosen = aligned[way.source.layer_of]

    def read(copy: np.ndarray) -> np.ndarray:
        """R2 of all neurons; those that are read from one layer together."""
        found = np.full(len(wanted), np.nan)
        for layer in np.unique(aligned):
            rows = np.flatnonzero((chosen == layer) & way.alive)
            found[rows] = read_out(
                copy[_rows_of(way.target, layer)], wanted[rows], per_picture=way.source.per_picture
            )
        step()
        return found

    r2 = read(way.target.copy())
    null = np.stack([read(way.target.copy(name)) for name in way.target.twins])
    p, q = np.ones(len(r2)), np.ones(len(r2))
    for layer in range(len(way.source.layers)):
        rows = np.arange(len(r2))[_rows_of(way.source, layer)]
        alive = rows[way.alive[rows]]
        p[alive], q[alive] = compare_with_twins(r2[alive], null[:, alive])
    return _ReadOuts(aligned, r2, null, p, q)


def _read_table(way: _Way, found: _ReadOuts) -> pa.Table:
    layers = np.array(way.target.layer_keys())[found.layer]
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


def _aligned(way: _Way) -> pa.Table:
    """Every pair of layers; their own best matches, not those of the whole networks."""
    rows = []
    for i, one in enumerate(way.source.layer_keys()):
        neurons = np.arange(len(way.scores))[_rows_of(way.source, i)]
        neurons = neurons[way.alive[neurons]]
        for j, other in enumerate(way.target.layer_keys()):
            scores = way.by_layer[neurons, j]
            row = {
                "from": one,
                "to": other,
                "mutual_share": float(way.shares[i, j]),
                "cka": float(way.cka[i, j]),
                "score": float(np.median(scores)) if len(scores) else None,
                "auc": auc(scores, way.queries[:, _rows_of(way.source, i), j].reshape(-1))
                if len(scores)
                else None,
            }
            rows.append(row)
    return pa.Table.from_pylist(rows, schema=arrow_schema("ALIGNED_WITH"))


def _layer_rows(way: _Way, outs: _ReadOuts) -> list[dict[str, Any]]:
    """One row a layer of the source: matches, what null networks reach, and read-outs."""
    _, q = _significance(way)
    (excess, by_twins, _), share = _excess(way), _shares_of_possible(way)
    rows = []
    for i, layer in enumerate(way.source.layers):
        neurons = np.arange(len(q))[_rows_of(way.source, i)]
        queries, candidates = (
            way.queries[:, neurons].max(2).reshape(-1),
            way.candidates[:, neurons].reshape(-1),
        )
        crossed, chance = way.crossed[..., neurons].reshape(-1), by_twins[:, neurons].reshape(-1)
        neurons = neurons[way.alive[neurons]]
        if not len(neurons):
            continue
        rows.append(
            {
                "model": way.source.model,
                "other": way.target.model,
                "layer": layer,
                "depth": float(way.source.depth[i]),
                "neurons": len(neurons),
                "score": float(np.median(way.scores[neurons])),
                "share": float(np.nanmedian(share[neurons]))
                if np.isfinite(share[neurons]).any()
                else None,
                "twin_finds": float(np.median(queries)),
                "found_in_twin": float(np.median(candidates)),
                "twin_in_twin": float(np.median(crossed)),
                "shuffled": float(np.median(way.chance[neurons])),
                "auc": auc(way.scores[neurons], crossed),
                "auc_twin_finds": auc(way.scores[neurons], queries),
                "auc_found_in_twin": auc(way.scores[neurons], candidates),
                "auc_excess": auc(excess[neurons], chance),
                "significant": float((q[neurons] <= Q_MAX).mean()),
                "mutual": float(way.mutual[neurons].mean()),
                "aligned": way.target.layers[outs.layer[i]],
                "cka": float(way.cka[i, outs.layer[i]]),
                "r2": float(np.median(outs.r2[neurons])),
                "null_r2": float(np.median(outs.null[:, neurons])),
                "read_out": float((outs.q[neurons] <= Q_MAX).mean()),
            }
        )
    return rows


def _table(name: str, columns: Mapping[str, np.ndarray]) -> pa.Table:
    schema = arrow_schema(name)
    arrays = [pa.array(columns[field.name], field.type, from_pandas=True) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)
