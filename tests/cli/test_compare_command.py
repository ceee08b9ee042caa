"""The command that compares networks: what it prints, writes and refuses, and what a database
then holds.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from circuitome.cli import main
from circuitome.extract import Network, extract
from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.stores.protocol import Store
from circuitome.queries.database import Database, open_database
from circuitome.universality import every_pair
from circuitome.universality.compare import CompareError, compare, open_all
from circuitome.universality.destinations import FolderWriter, pairs_to_compare, record
from tests.support.signed_networks import INPUT, network, signed, small_gallery

NAMES = ("one", "two", "three")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three small networks, one of them without signatures of the same pictures: `other`."""
    made = tmp_path_factory.mktemp("networks")
    for seed, name in enumerate(NAMES):
        signed(
            network(seed, first=8, second=8), made / f"{name}.circuitome", gallery=small_gallery(36)
        )
    signed(network(9, first=4, second=4), made / "other.circuitome", gallery=small_gallery(40))
    extract(
        Network(network(8, first=4, second=4), name="bare", input_shape=INPUT),
        output=made / "bare.circuitome",
    )
    return made


@pytest.fixture(autouse=True)
def no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CIRCUITOME_DB", raising=False)


def run(capsys: pytest.CaptureFixture[str], *words: str | Path, code: int = 0) -> tuple[str, str]:
    """Run the program; what it says on stdout and on stderr."""
    with pytest.raises(SystemExit) as stopped:
        main([str(word) for word in words])
    said = capsys.readouterr()
    assert (stopped.value.code or 0) == code, said.err
    return said.out, said.err


def paths(folder: Path, *names: str) -> list[Path]:
    return [folder / f"{name}.circuitome" for name in names]


def test_rows_are_the_best_match_of_every_neuron_both_ways(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = run(capsys, "compare", *paths(folder, "one", "two"), "--json")
    rows = json.loads(out)
    assert {tuple(row) for row in rows} == {("a", "b", "score", "mutual", "q")}
    assert len({row["a"] for row in rows}) == len(rows) == 2 * 26
    assert all(row["a"].partition("/")[0] != row["b"].partition("/")[0] for row in rows)
    assert [row["q"] for row in rows] == sorted(row["q"] for row in rows)
    best = {row["a"]: row["b"] for row in rows}
    assert all(row["mutual"] == (best.get(row["b"]) == row["a"]) for row in rows)
    assert (
        json.loads(
            run(capsys, "compare", *paths(folder, "one", "two"), "--json", "--limit", "3")[0]
        )
        == rows[:3]
    )
    low, high = rows[0]["q"], rows[-1]["q"]
    kept = json.loads(
        run(capsys, "compare", *paths(folder, "one", "two"), "--json", "--q", str(low))[0]
    )
    assert kept == [row for row in rows if row["q"] <= low] and (
        low == high or len(kept) < len(rows)
    )


def test_layers_are_shown_one_a_row(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(run(capsys, "compare", *paths(folder, "one", "two"), "--layers", "--json")[0])
    assert [(row["model"], row["layer"]) for row in rows] == [
        (m, n) for m in ("one", "two") for n in ("0", "2", "4")
    ]
    assert all(0 <= row["auc"] <= 1 and 0 <= row["significant"] <= 1 for row in rows)


@pytest.mark.parametrize("option", ["--layers", "--circuits", "--table"])
def test_a_largest_q_belongs_to_matches_alone(
    option: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", *paths(folder, "one", "two"), option, "--q", "0.05"]
    assert "--q keeps matches" in run(capsys, *words, code=2)[1]


def test_a_folder_holds_tables_pictures_and_what_they_are(
    folder: Path, tmp_path: Path, capsys
) -> None:
    _, err = run(capsys, "compare", *paths(folder, *NAMES), "-o", tmp_path / "out", "--limit", "1")
    assert "3 pairs" in err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *(
            "ALIGNED_WITH.parquet",
            "ANALOGOUS_TO.parquet",
            "PRESERVED_IN.parquet",
            "READ_OUT_OF.parquet",
        ),
        *(
            "manifest.json",
            "one--three.svg",
            "one--two.svg",
            "periodic_table.csv",
            "two--three.svg",
        ),
    ]
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert [model["key"] for model in manifest["models"]] == list(NAMES)
    assert [(pair["a"], pair["b"]) for pair in manifest["pairs"]] == [
        ("one", "two"),
        ("one", "three"),
        ("two", "three"),
    ]
    table = pq.read_table(tmp_path / "out" / "ANALOGOUS_TO.parquet")
    assert (
        table.num_rows
        == sum(pair["rows"]["ANALOGOUS_TO"] for pair in manifest["pairs"])
        == 3 * 2 * 26
    )


def test_a_folder_is_replaced_by_force_alone_and_never_another(
    folder: Path, tmp_path: Path, capsys
) -> None:
    two = paths(folder, "one", "two")
    run(capsys, "compare", *two, "-o", tmp_path / "out")
    assert "--force" in run(capsys, "compare", *two, "-o", tmp_path / "out", code=2)[1]
    run(capsys, "compare", *paths(folder, "one", "three"), "-o", tmp_path / "out", "--force")
    assert not (tmp_path / "out" / "one--two.svg").exists()
    (tmp_path / "mine").mkdir()
    assert (
        "holds no comparison"
        in run(capsys, "compare", *two, "-o", tmp_path / "mine", "--force", code=2)[1]
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "out"]


def test_a_stopped_comparison_leaves_the_folder_as_it_was(folder: Path, tmp_path: Path) -> None:
    networks = open_all([Bundle.open(path) for path in paths(folder, "one", "two")])
    with FolderWriter(tmp_path / "out", networks) as writer:
        writer.add(compare(*networks))
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def stopped() -> None:
        with FolderWriter(tmp_path / "out", networks, force=True) as writer:
            writer.add(compare(*networks))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("one", "bare"), "--parts signatures"),
        (("one", "other"), "different pictures"),
        (("one",), "two bundles"),
    ],
)
def test_bundles_that_cannot_be_compared_are_refused(
    folder: Path, capsys, names: tuple[str, ...], says: str
) -> None:
    assert says in run(capsys, "compare", *paths(folder, *names), code=2)[1]


def counts(database: Database) -> dict[tuple[str, str], int]:
    text = (
        "MATCH (a:Neuron)-[r:ANALOGOUS_TO]->(b:Neuron) RETURN a.model AS one, b.model AS "
        "other, count(r) AS n ORDER BY one, other"
    )
    return {
        (row["one"], row["other"]): row["n"] for row in database.store.run(text, {}).to_pylist()
    }


def test_a_database_learns_pair_by_pair(
    folder: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = tmp_path / "all.db"
    assert "is not in the database" in _unknown(folder, db, capsys)
    run(capsys, "load", *paths(folder, *NAMES), "--db", db)
    run(capsys, "compare", *paths(folder, "one", "two"), "--db", db)
    done: list[tuple[str, str]] = []
    monkeypatch.setattr(every_pair, "record", _listening(done))
    _, err = run(capsys, "compare", *paths(folder, *NAMES), "--db", db)
    assert done == [("one", "three"), ("two", "three")]
    assert "1 pair already" in err
    run(capsys, "compare", *paths(folder, "one", "two"), "--db", db, "--force")
    assert done[2:] == [("one", "two")]
    with open_database(str(db)) as database:
        assert set(counts(database).values()) == {26} and len(counts(database)) == 6
        rows = database.query("compared_models").to_dicts()
    assert [(row["model"], row["other"]) for row in rows][:2] == [("one", "three"), ("one", "two")]
    assert all(row["layer_pairs"] == 9 and 0 < row["most_alike"] <= 1 for row in rows)


def _unknown(folder: Path, db: Path, capsys: pytest.CaptureFixture[str]) -> str:
    run(capsys, "load", *paths(folder, "one"), "--db", db)
    return run(capsys, "compare", *paths(folder, "one", "two"), "--db", db, code=2)[1]


def _listening(done: list[tuple[str, str]]) -> Any:
    def listen(database: Database, found: Any) -> None:
        done.append((found.a, found.b))
        record(database, found)

    return listen


def test_both_stores_hold_what_was_found(folder: Path, store: Store) -> None:
    bundles = [Bundle.open(path) for path in paths(folder, "one", "two")]
    store.load(*bundles)
    database, networks = Database(store), open_all(bundles)
    assert [(a.model, b.model) for a, b in pairs_to_compare(networks, database)] == [("one", "two")]
    found = compare(*networks)
    record(database, found)
    record(database, found)  # in place of the first
    assert pairs_to_compare(networks, database) == []
    assert len(pairs_to_compare(networks, database, force=True)) == 1
    text = (
        "MATCH (a:Neuron)-[r:ANALOGOUS_TO]->(b:Neuron) RETURN a.key AS one, b.key AS other, "
        "r.score AS score, r.mutual AS mutual, "
        "r.q AS q, r.share AS share, r.field_to AS field ORDER BY one, other"
    )
    rows = store.run(text, {}).to_pylist()
    table = found.tables["ANALOGOUS_TO"].to_pylist()
    wanted = sorted(table, key=lambda row: row["from"])
    assert [(row["one"], row["other"], row["mutual"], row["field"]) for row in rows] == [
        (row["from"], row["to"], row["mutual"], row["field_to"]) for row in wanted
    ]
    for name in ("score", "q", "share"):
        assert [row[name] for row in rows] == pytest.approx([row[name] for row in wanted])
    text = (
        "MATCH (:Neuron)-[r:READ_OUT_OF]->(l:Layer) RETURN l.model AS model, count(r) AS n "
        "ORDER BY model"
    )
    assert store.run(text, {}).to_pylist() == [{"model": "one", "n": 26}, {"model": "two", "n": 26}]


def test_a_database_with_other_weights_of_the_name_is_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "two.circuitome", tmp_path / "two.circuitome")
    signed(network(77, first=8, second=8), tmp_path / "one.circuitome", gallery=small_gallery(36))
    with open_database(str(tmp_path / "a.db"), create=True) as database:
        database.load(*paths(folder, "one", "two"))
        networks = open_all([Bundle.open(path) for path in paths(tmp_path, "one", "two")])
        with pytest.raises(CompareError, match="other weights"):
            pairs_to_compare(networks, database)
