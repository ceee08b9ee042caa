"""Fragments: their forms, how a text names them, and the cosines that both engines give."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.stores.protocol import Store
from circuitome.queries.database import Database
from circuitome.queries.errors import QueryError
from circuitome.queries.fragments import FRAGMENTS, expanded
from circuitome.queries.query_file import DIALECTS, load_file
from tests.support.synthetic import write_bundle

COSINES = """\
MATCH (n:Neuron), (m:Neuron)
WHERE n.key <= m.key
UNWIND [1, 2, 3] AS time
WITH n.layer AS layer, n.key AS low, m.key AS high
WITH layer, low, high,
     {fragment}(low, high) AS found
RETURN low, high, found AS alike ORDER BY low, high
"""
"""Every pair comes three times, and nothing but the step uses the model."""


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_bundle(tmp_path / "toy.circuitome", layers=(3, 6, 5, 4), density=0.5)


@pytest.fixture
def database(store: Store, bundle: Bundle) -> Iterator[Database]:
    with Database(store) as database:
        database.load(bundle)
        yield database


def ends_and_values(bundle: Bundle, fragment: str) -> Iterator[tuple[str, str, float]]:
    """The neuron, what it is joined to, and the value of each edge, as the fragment counts it."""
    fan_in = dict(bundle.table("Neuron").select(["key", "fan_in"]).to_pandas().to_numpy())
    for table in ("EXCITES", "INHIBITS"):
        for edge in bundle.table(table).to_pylist():
            sender, receiver = edge["from"], edge["to"]
            if fragment == "cosine_of_fan_ins":
                yield receiver, sender, edge["weight"]
            else:
                root = np.sqrt(edge["share"] * fan_in[receiver])
                yield sender, receiver, edge["polarity"] * root


def cosines(bundle: Bundle, fragment: str) -> dict[tuple[str, str], float]:
    """Cosines of all pairs of neurons that share an end, the lower key first."""
    edges = list(ends_and_values(bundle, fragment))
    ends = sorted({end for _, end, _ in edges})
    rows = {neuron: np.zeros(len(ends)) for neuron, _, _ in sorted(edges)}
    for neuron, end, value in edges:
        rows[neuron][ends.index(end)] = value
    return {
        (one, other): float(rows[one] @ row / np.linalg.norm(rows[one]) / np.linalg.norm(row))
        for other, row in rows.items()
        for one in rows
        if one <= other and np.any(rows[one] * row)
    }


@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_both_engines_give_the_cosines_of_pairs_that_share_an_end(
    database: Database, bundle: Bundle, tmp_path: Path, fragment: str
) -> None:
    file = tmp_path / "mine.cypher"
    file.write_text(COSINES.format(fragment=fragment))
    rows = list(database.query(file))
    found = {(row["low"], row["high"]): row["alike"] for row in rows}
    assert len(rows) == len(found)
    assert found == pytest.approx(cosines(bundle, fragment), rel=1e-6)
    assert 0 < sum(one == other for one, other in found) < len(found)


def test_every_fragment_has_a_form_for_each_engine() -> None:
    line = "WITH low, high, {}(low, high) AS alike"
    for fragment in FRAGMENTS:
        forms = {expanded(line.format(fragment), engine, where="x") for engine in DIALECTS}
        assert len(forms) == len(DIALECTS)


def test_a_step_has_the_names_of_its_line_and_keeps_what_the_line_keeps() -> None:
    step = "WITH other, kept, one, cosine_of_fan_ins(one, other) AS like\nRETURN like"
    text = expanded(step, "neo4j", where="x")
    assert text.startswith("WITH DISTINCT other, kept, one\nCALL (one, other) {\n")
    assert text.endswith(" AS like\n}\nWITH other, kept, one, like\nRETURN like")


def test_a_step_may_be_typed_in_another_way() -> None:
    usual = "WITH one, other, cosine_of_fan_ins(one, other) AS like\nRETURN like"
    typed = "  with one,other, cosine_of_fan_ins( one,other ) as like  \nRETURN like"
    assert expanded(typed, "kuzu", where="x") == expanded(usual, "kuzu", where="x")


def test_a_text_without_fragments_stays_as_it_is() -> None:
    text = "MATCH (n) // cosine_of_fan_ins(a, b)\nWITH a, b, cosine(a, b) AS c"
    assert expanded(text, "kuzu", where="x") == text


@pytest.mark.parametrize(
    "step, message",
    [
        ("WITH i, cosine_of_fan_ins(i, j) AS k", "mine.cypher: .* needs `j` kept"),
        ("WITH i, j, side, cosine_of_fan_ins(i, j) AS k", "`side` is a name that"),
        ("WITH i, j, cosine_of_fan_outs(i, j) AS effect", "`effect` is a name that"),
        ("WITH i, j, -cosine_of_fan_ins(i, j) AS k", "needs a WITH of its own"),
        ("RETURN cosine_of_fan_outs (i, j)", "`cosine_of_fan_outs` needs a WITH of its own"),
    ],
)
def test_a_step_that_is_no_line_of_names_is_refused(
    tmp_path: Path, step: str, message: str
) -> None:
    file = tmp_path / "mine.cypher"
    file.write_text(f"MATCH (n:Neuron)\n{step}\nRETURN k\n")
    with pytest.raises(QueryError, match=message):
        load_file(file)
