"""A bundle is whole or it is not there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from circuitome.graphdb.bundle import Bundle, BundleError
from circuitome.graphdb.bundle_writer import BundleWriter
from circuitome.graphdb.schema import NODES, RELATIONSHIPS, arrow_schema
from tests.support.synthetic import annotated, edge_columns, write_bundle, write_planted


@pytest.fixture
def toy(tmp_path: Path) -> Bundle:
    return write_bundle(tmp_path / "toy")


def test_the_same_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    a, b = (write_bundle(tmp_path / name, name="toy") for name in "ab")
    assert a.manifest == b.manifest
    for table in a.tables:
        assert a.table_path(table).read_bytes() == b.table_path(table).read_bytes()


def test_every_table_has_the_columns_of_the_schema_and_the_rows_of_the_manifest(
    toy: Bundle,
) -> None:
    toy.check()
    for name in (*NODES, *RELATIONSHIPS):
        table = toy.table(name)
        assert table.column_names == arrow_schema(name).names
        assert (
            table.num_rows
            == toy.rows(name)
            == sum(batch.num_rows for batch in toy.batches(name, 7))
        )


def test_a_table_that_was_not_written_is_empty(toy: Bundle) -> None:
    assert "Family" not in toy.tables
    assert toy.table("Family").num_rows == toy.rows("Family") == 0
    assert list(toy.batches("Family")) == []


def test_edges_follow_from_their_kernels(toy: Bundle) -> None:
    for name, sign in (("EXCITES", 1), ("INHIBITS", -1)):
        for edge in toy.table(name).to_pylist():
            kernel = toy.kernels.row(edge["kernel"]).astype(np.float64)
            assert edge["weight"] == pytest.approx(kernel.sum(), rel=1e-6, abs=1e-7)
            assert edge["excitation"] == pytest.approx(kernel[kernel > 0].sum(), rel=1e-6)
            assert sign * edge["weight"] >= 0


def test_an_exact_zero_excites_with_polarity_zero_and_an_empty_kernel_is_no_edge(
    toy: Bundle,
) -> None:
    zero = [edge for edge in toy.table("EXCITES").to_pylist() if edge["weight"] == 0]
    assert [(edge["from"], edge["to"], edge["polarity"]) for edge in zero] == [
        ("toy/input:0", "toy/conv1:0", 0)
    ]
    connected = sum(int(toy.kernels.layer(name).any((2, 3)).sum()) for name in toy.kernels.names)
    assert connected == toy.rows("EXCITES") + toy.rows("INHIBITS")


def test_centres_are_pixels_from_the_middle_with_y_down() -> None:
    kernel = np.zeros((1, 1, 3, 3), np.float32)
    kernel[0, 0, 2, 1], kernel[0, 0, 0, 0] = 2, -1
    columns = {name: column.item() for name, column in edge_columns(kernel).items()}
    assert (columns["ex"], columns["ey"], columns["ix"], columns["iy"]) == (0, 1, -1, -1)
    assert (columns["weight"], columns["excitation"], columns["polarity"]) == (
        1,
        2,
        pytest.approx(1 / 3),
    )


def test_shares_and_ranks_are_of_the_receiver(toy: Bundle) -> None:
    receivers: dict[str, list[tuple[int, float]]] = {}
    for name in ("EXCITES", "INHIBITS"):
        for edge in toy.table(name).to_pylist():
            receivers.setdefault(edge["to"], []).append((edge["rank"], edge["share"]))
    for edges in receivers.values():
        shares = [share for _, share in sorted(edges)]
        assert sorted(rank for rank, _ in edges) == list(range(1, len(edges) + 1))
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) == pytest.approx(1, abs=1e-5)


def test_pruning_counts_what_it_drops(tmp_path: Path) -> None:
    whole, pruned = write_bundle(tmp_path / "a"), write_bundle(tmp_path / "b", keep=0.8)
    edges = [bundle.rows("EXCITES") + bundle.rows("INHIBITS") for bundle in (whole, pruned)]
    dropped = [
        row["dropped"] for row in pruned.table("Neuron").to_pylist() if row["dropped"] is not None
    ]
    assert edges[0] - edges[1] == sum(dropped) > 0
    assert all(
        row["kept_mass"] >= 0.8
        for row in pruned.table("Neuron").to_pylist()
        if row["kept_mass"] is not None
    )


def test_planted_edges_are_the_only_edges(tmp_path: Path) -> None:
    edges = [
        ("in:0", "mid:1", 0.5),
        ("in:1", "mid:0", -0.25),
        ("mid:1", "out:0", 2.0),
        ("in:0", "out:0", -1.0),
    ]
    bundle = write_planted(tmp_path / "p", {"in": 2, "mid": 2, "out": 1}, edges)
    found = [
        (edge["from"].removeprefix("planted/"), edge["to"].removeprefix("planted/"), edge["weight"])
        for name in ("EXCITES", "INHIBITS")
        for edge in bundle.table(name).to_pylist()
    ]
    assert sorted(found) == sorted(edges)


def test_no_such_folder_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such bundle; `circuitome extract"):
        Bundle.open(tmp_path / "no")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": "x"}', "\x00"])
def test_a_manifest_that_is_none_is_refused(toy: Bundle, content: str) -> None:
    (toy.path / "manifest.json").write_text(content)
    with pytest.raises(BundleError, match=r"manifest\.json"):
        Bundle.open(toy.path)


@pytest.mark.parametrize(
    "damage",
    [
        {"model": {}},
        {"model": {"key": 3}},
        {"kernels": None},
        {"files": []},
        {"files": {"wiring.json": 7}},
        {"files": {"wiring.json": {"bytes": "12", "sha256": "0"}}},
        {"files": {"tables/Layer.parquet": {"bytes": 12, "sha256": "0"}}},
    ],
)
def test_an_entry_of_the_manifest_that_is_damaged_is_named(
    toy: Bundle, damage: dict[str, Any]
) -> None:
    (toy.path / "manifest.json").write_text(json.dumps({**toy.manifest.to_json(), **damage}))
    with pytest.raises(
        BundleError,
        match=rf"manifest\.json: its entry `{next(iter(damage))}` is missing or damaged",
    ):
        Bundle.open(toy.path)


def test_who_may_read_a_folder_may_read_a_bundle_made_in_it(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    bundle = write_bundle(tmp_path / "toy")
    assert bundle.path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_another_schema_version_says_to_extract_again(toy: Bundle) -> None:
    (toy.path / "manifest.json").write_text(
        json.dumps({**toy.manifest.to_json(), "schema_version": 99})
    )
    with pytest.raises(BundleError, match=r"version 99.*extract the bundle again"):
        Bundle.open(toy.path)


def test_a_missing_file_is_named(toy: Bundle) -> None:
    toy.table_path("NEXT").unlink()
    with pytest.raises(BundleError, match=r"NEXT\.parquet is missing"):
        Bundle.open(toy.path)


def test_a_file_that_was_cut_short_is_named(toy: Bundle) -> None:
    data = toy.table_path("Neuron").read_bytes()
    toy.table_path("Neuron").write_bytes(data[:-1])
    with pytest.raises(BundleError, match=r"Neuron\.parquet has \d+ bytes"):
        Bundle.open(toy.path)


@pytest.mark.parametrize("name", ["tables/EXCITES.parquet", "kernels.safetensors", "wiring.json"])
def test_a_flipped_bit_is_found_by_check(toy: Bundle, name: str) -> None:
    data = bytearray((toy.path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (toy.path / name).write_bytes(bytes(data))
    with pytest.raises(BundleError, match="was altered"):
        Bundle.open(toy.path).check()


def test_an_error_while_writing_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Model: columns"), BundleWriter(tmp_path / "x") as writer:
        writer.write("Model", arrow_schema("Layer").empty_table())
    assert list(tmp_path.iterdir()) == []


def test_an_unfinished_writer_leaves_nothing(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "x") as writer:
        writer.write("Model", arrow_schema("Model").empty_table())
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_is_replaced_only_when_asked(toy: Bundle) -> None:
    with pytest.raises(BundleError, match="already there"):
        write_bundle(toy.path)
    assert write_bundle(toy.path, seed=1, force=True).manifest != toy.manifest


def test_force_does_not_replace_what_is_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(BundleError, match="not a bundle"):
        write_bundle(tmp_path / "mine", force=True)
    assert (tmp_path / "mine").is_dir()


WRITER = """
import sys, os, signal
from circuitome.graphdb.bundle_writer import BundleWriter
BundleWriter._publish = lambda self: os.kill(os.getpid(), signal.SIGKILL)
from tests.support.synthetic import write_bundle
write_bundle(sys.argv[1], seed=2, force=True)
"""


def test_a_writer_killed_before_the_end_leaves_the_old_bundle(toy: Bundle) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", WRITER, str(toy.path)], env=environment, check=False
    )
    assert done.returncode == -signal.SIGKILL
    again = Bundle.open(toy.path)
    again.check()
    assert again.manifest == toy.manifest


def test_a_kernel_row_that_is_not_there_says_where_to_look(toy: Bundle) -> None:
    with pytest.raises(BundleError, match="look up the edge's `kernel`"):
        toy.kernels.row(10**6)


def amend(bundle: Bundle, *, name: str = "notes.txt", content: bytes = b"one") -> Bundle:
    """The bundle with the bias of every neuron 7, and a further file."""
    neurons = bundle.table("Neuron")
    place = neurons.column_names.index("bias")
    with BundleWriter.amend(bundle) as writer:
        writer.replace(
            "Neuron", neurons.set_column(place, "bias", pa.array([7.0] * neurons.num_rows))
        )
        writer.attach(name, content)
        writer.finish(model={"annotated": "responses"}, notes={"annotation": {"seed": 3}})
    return Bundle.open(bundle.path)


def test_amending_changes_what_was_asked_and_nothing_else(toy: Bundle) -> None:
    before = {name: (toy.path / name).read_bytes() for name in toy.manifest.files}
    amended = amend(toy)
    amended.check()
    assert set(amended.table("Neuron")["bias"].to_pylist()) == {7.0}
    assert (
        amended.table("Neuron")
        .drop_columns("bias")
        .equals(
            pa.Table.from_pylist(
                toy_rows(before, "Neuron"), schema=arrow_schema("Neuron")
            ).drop_columns("bias")
        )
    )
    changed = {f"tables/{table}.parquet" for table in ("Neuron", "Model")}
    for name in before.keys() - changed:
        assert (amended.path / name).read_bytes() == before[name], name
    assert amended.manifest.files.keys() - before.keys() == {"annotations/notes.txt"}


def toy_rows(files: dict[str, bytes], table: str) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    return pq.read_table(pa.BufferReader(files[f"tables/{table}.parquet"])).to_pylist()


def test_amending_notes_what_was_done_on_the_model_and_in_the_manifest(toy: Bundle) -> None:
    amended = amend(toy)
    assert amended.manifest.model == {**toy.manifest.model, "annotated": "responses"}
    assert amended.manifest.note("annotation") == {"seed": 3}
    (row,) = amended.table("Model").to_pylist()
    assert (row["key"], row["annotated"], row["state"]) == ("toy", "responses", "ready")


def test_amending_shares_the_files_that_stay(toy: Bundle) -> None:
    inode = (toy.path / "kernels.safetensors").stat().st_ino
    assert (amend(toy).path / "kernels.safetensors").stat().st_ino == inode


def test_amending_copies_where_there_are_no_hard_links(
    toy: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError("no links here")

    monkeypatch.setattr("os.link", refuse)
    amended = amend(toy)
    amended.check()
    assert amended.rows("EXCITES") == toy.rows("EXCITES") > 0


def test_amending_behind_a_link_keeps_the_link(toy: Bundle, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(toy.path)
    amended = amend(Bundle.open(tmp_path / "link"))
    assert (tmp_path / "link").is_symlink()
    assert amended.manifest == Bundle.open(toy.path).manifest != toy.manifest


def test_the_same_amendment_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    a, b = (annotated(write_bundle(tmp_path / name, name="toy")) for name in "ab")
    assert (a.path / "manifest.json").read_bytes() == (b.path / "manifest.json").read_bytes()
    for name in a.manifest.files:
        assert (a.path / name).read_bytes() == (b.path / name).read_bytes()


def test_amending_again_with_the_same_changes_nothing(toy: Bundle) -> None:
    once = amend(toy)
    assert amend(once).manifest == once.manifest


def test_a_table_replaced_by_no_rows_is_gone(toy: Bundle) -> None:
    with BundleWriter.amend(toy) as writer:
        writer.replace("GATES", arrow_schema("GATES").empty_table())
        writer.finish()
    amended = Bundle.open(toy.path)
    amended.check()
    assert "GATES" not in amended.tables
    assert amended.table("GATES").num_rows == 0


def test_a_further_file_is_found_checked_replaced_and_left_out(toy: Bundle, tmp_path: Path) -> None:
    (tmp_path / "big.bin").write_bytes(b"four")
    with BundleWriter.amend(amend(toy)) as writer:
        writer.attach("deep/big.parquet", tmp_path / "big.bin")
        writer.attach("notes.txt", b"two")
        writer.finish()
    amended = Bundle.open(toy.path)
    assert amended.attached == ("deep/big.parquet", "notes.txt")
    assert amended.attached_path("notes.txt").read_bytes() == b"two"
    amended.attached_path("deep/big.parquet").write_bytes(b"fore")
    with pytest.raises(BundleError, match=r"deep/big\.parquet was altered"):
        amended.check()
    with BundleWriter.amend(amended) as writer:
        writer.detach("deep/big.parquet")
        writer.finish()
    again = Bundle.open(toy.path)
    again.check()
    assert again.attached == ("notes.txt",)
    with pytest.raises(BundleError, match=r"no annotation 'deep/big\.parquet'"):
        again.attached_path("deep/big.parquet")


@pytest.mark.parametrize("name", ["", ".", "../manifest.json", "/etc/x", "a/../../wiring.json"])
def test_a_further_file_stays_in_its_folder(toy: Bundle, name: str) -> None:
    with (
        pytest.raises(ValueError, match="name below annotations/"),
        BundleWriter.amend(toy) as writer,
    ):
        writer.attach(name, b"x")
    Bundle.open(toy.path).check()


@pytest.mark.parametrize(
    "misuse, message",
    [
        (
            lambda writer: writer.replace("Model", arrow_schema("Layer").empty_table()),
            "Model: columns",
        ),
        (
            lambda writer: [
                writer.replace("NEXT", arrow_schema("NEXT").empty_table()) for _ in "ab"
            ],
            "replaced already",
        ),
        (lambda writer: writer.finish(model={"anotated": "x"}), "anotated is no column"),
        (
            lambda writer: writer.finish(notes={"files": {}}),
            "files: entries that the bundle writes itself",
        ),
    ],
)
def test_a_misused_amendment_leaves_the_old_bundle(toy: Bundle, misuse: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message), BundleWriter.amend(toy) as writer:
        misuse(writer)
    again = Bundle.open(toy.path)
    again.check()
    assert again.manifest == toy.manifest
    assert [path.name for path in toy.path.parent.iterdir()] == ["toy"]


def test_an_amendment_of_a_bundle_that_was_replaced_meanwhile_is_refused(toy: Bundle) -> None:
    other = write_bundle(toy.path, seed=9, force=True)
    with pytest.raises(BundleError, match="replaced while it was being amended"):
        amend(toy)
    assert Bundle.open(toy.path).manifest == other.manifest


def test_an_interrupt_while_publishing_leaves_one_whole_bundle(
    toy: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = os.replace, []

    def interrupted(source: Any, target: Any) -> None:
        calls.append(target)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(
        "circuitome.graphdb.drafts._swapped", lambda one, other: False
    )  # as on systems that cannot
    monkeypatch.setattr("os.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        amend(toy)
    monkeypatch.undo()
    again = Bundle.open(toy.path)
    again.check()
    assert again.manifest == toy.manifest
    assert [path.name for path in toy.path.parent.iterdir()] == ["toy"]


AMENDER = """
import sys, os, signal
from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.bundle_writer import BundleAmendment
BundleAmendment._publish = lambda self: os.kill(os.getpid(), signal.SIGKILL)
from tests.support.synthetic import annotated
annotated(Bundle.open(sys.argv[1]))
"""


def test_an_amendment_killed_before_the_end_leaves_the_old_bundle(toy: Bundle) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", AMENDER, str(toy.path)], env=environment, check=False
    )
    assert done.returncode == -signal.SIGKILL
    again = Bundle.open(toy.path)
    again.check()
    assert again.manifest == toy.manifest
