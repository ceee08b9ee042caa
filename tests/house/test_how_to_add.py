"""The page "how to add" holds: what it adds, in the places that it names, is in the rows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SNIPPET = re.compile(r"<!-- (.+?) -->\n```\w+\n(.*?)```", re.DOTALL)
NEW, END, AFTER = "new file: ", "at the end of: ", ", after: "

PROGRAM = """
import torch
from torch import nn

from circuitome import Network, Options, extract, open_store
from circuitome.extract.annotate.pipeline import annotate
from circuitome.extract.stimuli.catalogue import STIMULI, catalogue
from circuitome.networks import load
from circuitome.queries.motifs import find, find_significant
from circuitome.vocabulary import with_traits

net = load("menagerie_s0")
network = Network(net, name="net", input_shape=(3, 64, 64))
bundle = extract(network, output="net.circuitome", options=Options(span=None))

# a property
shares = {row["key"]: row for row in bundle.table("Neuron").to_pylist()}
connected = [row for row in shares.values() if row["fan_in"]]
assert all(row["dropped_share"] == row["dropped"] / row["fan_in"] for row in connected)
# a motif, by both forms, and with its significance
with open_store("net.db", create=True) as database:
    database.load(bundle)
    rows = database.query("disinhibition", limit=5).to_dicts()
    found = find(database, "disinhibition", limit=5)
    tested, chance = find_significant(database, "disinhibition", nulls=2)
assert [row["freed"] for row in rows] == [row["roles"]["freed"][0] for row in found]
assert len(rows) == 5 and tested[0]["q"] is not None and chance.instances >= 5

# a stimulus
assert "double_line" in STIMULI and "double_line" in with_traits("grey", "bar")
trials = catalogue(21, 8.0, seed=0)
assert any(cell.stimulus == "double_line" for cell in trials.cells)

# a part of the annotation
torch.manual_seed(0)
small = nn.Sequential(nn.Conv2d(3, 6, 5, stride=2), nn.ReLU(), nn.Conv2d(6, 4, 3)).eval()
own = extract(
    Network(small, name="small", input_shape=(3, 33, 33)),
    output="small.circuitome",
    options=Options(span=None),
)
annotated = annotate(own, small, parts=["peaks"], twins=3, device="cpu")
with open_store("small.db", create=True) as database:
    database.load(annotated)
peaks = [row["peak"] for row in annotated.table("Neuron").to_pylist() if row["op"] == "conv"]
assert len(peaks) == 10 and all(peak > 0 for peak in peaks), peaks
print("all there")
"""


def add(package: Path, where: str, text: str) -> None:
    """Make one change of the page in a copy of the package."""
    if where.startswith(NEW):
        path = package / where.removeprefix(NEW)
        assert not path.exists()
        path.write_text(text)
    elif where.startswith(END):
        path = package / where.removeprefix(END)
        path.write_text(f"{path.read_text()}\n\n{text}")
    else:
        name, line = where.removeprefix("in: ").split(AFTER)
        path = package / name
        lines = path.read_text().splitlines(keepends=True)
        (place,) = (i for i, own in enumerate(lines) if own.strip().startswith(line))
        path.write_text("".join([*lines[: place + 1], text, *lines[place + 1 :]]))


@pytest.mark.timeout(600)
def test_what_the_page_adds_is_in_the_rows(tmp_path: Path) -> None:
    shutil.copytree(
        ROOT / "circuitome", tmp_path / "circuitome", ignore=shutil.ignore_patterns("__pycache__")
    )
    snippets = SNIPPET.findall((ROOT / "docs" / "how_to_add.md").read_text())
    assert len(snippets) == 9
    for where, text in snippets:
        add(tmp_path, where, text)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "all there" in done.stdout
