"""Curated families: a person's CSV becomes families of the bundle, or one message that says
what is wrong with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from circuitome.extract.annotate.curated import CuratedError, join_families, load_families
from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.schema import TRANSFORM_GROUPS, arrow_schema
from tests.support.synthetic import annotated, write_bundle


@pytest.fixture
def toy(tmp_path: Path) -> Bundle:
    return annotated(write_bundle(tmp_path / "toy"))


def write(folder: Path, *lines: str) -> Path:
    path = folder / "mine.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def families(bundle: Bundle) -> dict[str, dict[str, Any]]:
    return {row["key"]: row for row in bundle.table("Family").to_pylist()}


def places(bundle: Bundle, family: str) -> dict[str, float]:
    return {
        row["from"]: row["offset"]
        for row in bundle.table("MEMBER_OF").to_pylist()
        if row["to"] == family
    }


def test_a_file_becomes_families_with_places(toy: Bundle, tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "family,neuron,offset,group",
        "curves,conv1:3,0,rotate",
        "",
        "curves,toy/conv1:5,-22.5,rotate",
    )
    loaded = load_families(toy, file)
    loaded.check()
    row = families(loaded)["toy/curated:curves"]
    told = ("model", "layer", "name", "group", "size", "source", "closure", "q")
    assert [row[name] for name in told] == [
        "toy",
        "toy/conv1",
        "curves",
        "rotate",
        2,
        "curated",
        None,
        None,
    ]
    assert places(loaded, "toy/curated:curves") == {"toy/conv1:3": 0.0, "toy/conv1:5": -22.5}


def test_computed_families_stay_as_they_were(toy: Bundle, tmp_path: Path) -> None:
    before = {key: row for key, row in families(toy).items() if row["source"] == "computed"}
    loaded = load_families(toy, write(tmp_path, "family,neuron,offset", "mine,conv1:0,0"))
    assert {
        key: row for key, row in families(loaded).items() if row["source"] == "computed"
    } == before
    assert places(loaded, "toy/conv1/f0") == {
        f"toy/conv1:{channel}": 90.0 * channel for channel in range(3)
    }


def test_a_family_may_span_layers_and_columns_come_in_any_order(
    toy: Bundle, tmp_path: Path
) -> None:
    file = write(tmp_path, "Offset, Neuron, Family", '1,conv1:0,"a, b"', '2,block2.a:0,"a, b"')
    row = families(load_families(toy, file))["toy/curated:a, b"]
    assert (row["layer"], row["group"], row["size"]) == (None, None, 2)


def test_loading_a_file_again_replaces_its_families_and_no_others(
    toy: Bundle, tmp_path: Path
) -> None:
    once = load_families(toy, write(tmp_path, "family,neuron,offset", "a,conv1:0,0", "b,conv1:1,0"))
    again = load_families(once, write(tmp_path, "family,neuron,offset", "a,conv1:2,5"))
    assert places(again, "toy/curated:a") == {"toy/conv1:2": 5.0}
    assert places(again, "toy/curated:b") == {"toy/conv1:1": 0.0}
    assert "toy/curated:fronts" in families(again)


def test_the_same_file_twice_gives_the_same_bundle(toy: Bundle, tmp_path: Path) -> None:
    file = write(tmp_path, "family,neuron,offset", "a,conv1:0,0", "a,conv1:1,90")
    once = load_families(toy, file)
    assert load_families(once, file).manifest == once.manifest


def test_a_bundle_without_annotation_takes_families(tmp_path: Path) -> None:
    loaded = load_families(
        write_bundle(tmp_path / "bare", name="toy"),
        write(tmp_path, "family,neuron,offset", "a,fc:0,0"),
    )
    assert list(families(loaded)) == ["toy/curated:a"]


def test_a_file_as_a_spreadsheet_writes_it_is_read(toy: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "sheet.csv"
    path.write_bytes("\ufefffamily,neuron,offset\r\nBögen,conv1:0,1e1\r\n".encode())
    assert places(load_families(toy, path), "toy/curated:Bögen") == {"toy/conv1:0": 10.0}


FAULTS = {
    "family,neuron\na,conv1:0": r"mine\.csv, line 1: no column 'offset'; begin with the header "
    r"family,neuron,offset",
    "": r"mine\.csv, line 1: no column 'family'",
    "family,neuron,offset,colour\na,conv1:0,0,red": r"line 1: a column 'colour'",
    "family,neuron,offset,offset\na,conv1:0,0,0": r"line 1: a column twice",
    "family,neuron,offset": r"no family below the header",
    "family,neuron,offset\na,conv1:0,0,9": r"line 2: 4 cells, the header has 3 "
    r"\(family,neuron,offset\)",
    "family,neuron,offset\na,conv1:0,north": r"line 2: the offset 'north' is no number",
    "family,neuron,offset\na,conv1:0,inf": r"line 2: the offset 'inf' is no number",
    "family,neuron,offset\na,conv1:0,": r"line 2: the offset '' is no number",
    "family,neuron,offset\na,conv1:0,0\n\na,conv1:99,0": r"line 4: no neuron 'conv1:99' in toy; "
    r"write layer:channel",
    "family,neuron,offset\n,conv1:0,0": r"line 2: the family has no name",
    "family,neuron,offset\na\x1b[1m,conv1:0,0": r"line 2: the family has no name that can be "
    r"printed",
    "family,neuron,offset\na,conv1:0,0\nb,conv1:0,0\na,toy/conv1:0,9": r"line 4: toy/conv1:0 is "
    r"in 'a' already \(line 2\)",
    "family,neuron,offset,group\na,conv1:0,0,rotat": r"line 2: no transform group 'rotat'; write "
    r"one of rotate, flip_h",
    "family,neuron,offset,group\na,conv1:0,0,hue\na,conv1:1,0,": r"line 3: 'a' has the group "
    r"none, and hue on line 2",
    'family,neuron,offset\na,"conv1:0,0': r"cannot be read as CSV in UTF-8",
}


@pytest.mark.parametrize("text", FAULTS)
def test_every_fault_of_a_file_is_one_message_and_changes_nothing(
    toy: Bundle, tmp_path: Path, text: str
) -> None:
    with pytest.raises(CuratedError, match=FAULTS[text]):
        load_families(toy, write(tmp_path, text))
    assert Bundle.open(toy.path).manifest == toy.manifest


def test_a_file_that_is_not_there_or_no_text_is_named(toy: Bundle, tmp_path: Path) -> None:
    with pytest.raises(CuratedError, match=r"gone\.csv: no such file"):
        load_families(toy, tmp_path / "gone.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CuratedError, match=r"binary\.csv: cannot be read as CSV in UTF-8"):
        load_families(toy, tmp_path / "binary.csv")


def test_the_groups_of_the_schema_are_those_that_transforms_know() -> None:
    from circuitome.extract.stimuli.transforms import GROUPS

    assert tuple(GROUPS) == TRANSFORM_GROUPS


def test_computed_families_can_be_exchanged_beside_curated_ones(toy: Bundle) -> None:
    computed = [key for key, row in families(toy).items() if row["source"] == "computed"]
    new = {
        "key": "toy/fc/f0",
        "model": "toy",
        "layer": "toy/fc",
        "group": "hue",
        "size": 1,
        "source": "computed",
    }
    tables = join_families(
        toy,
        pa.Table.from_pylist([new], schema=arrow_schema("Family")),
        pa.Table.from_pylist(
            [{"from": "toy/fc:3", "to": "toy/fc/f0"}], schema=arrow_schema("MEMBER_OF")
        ),
        instead_of=computed,
    )
    assert sorted(tables[0]["key"].to_pylist()) == ["toy/curated:fronts", "toy/fc/f0"]
    assert sorted(tables[1]["from"].to_pylist()) == ["toy/block2.a:0", "toy/conv1:0", "toy/fc:3"]
