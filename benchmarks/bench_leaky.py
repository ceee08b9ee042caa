"""Are opponent pairs rarer where rectifiers are leaky? The bundled architecture, trained so.

``python benchmarks/bench_leaky.py DIR`` reads the weights in DIR, made by ``python -m
circuitome.networks.train --seed SEED --slope 0.55 --out DIR`` (some ten minutes each), counts
opponent pairs and push-pull in them and in 199 networks with shuffled signs, keeps both in
``results/leaky.jsonl`` and renders the table of the docs. The networks with rectifiers of slope 0
are the bundled ones.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Final

from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import result_pages
from benchmarks.results import Row, write
from circuitome.extract import Network, extract
from circuitome.networks import MEAN, STD
from circuitome.networks.menagerie import menagerie
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs import MOTIFS, Motif
from circuitome.queries.motifs.significance import Task, assess

__all__ = ["main", "measured"]

MOTIFS_ASKED: Final = ("opponent_pairs", "push_pull")


def main() -> None:
    """Measure every network of a folder, write the results and the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    rows = []
    for file in sorted(parser.parse_args().folder.glob("*.safetensors")):
        for row in measured(file):
            print(row, flush=True)
            rows.append(row)
    write("leaky", rows, origin=f"`python benchmarks/bench_leaky.py DIR`, run on {date.today()}")
    result_pages.main()


def measured(file: Path) -> Iterator[Row]:
    """What is found in one network, and in networks with shuffled signs: one row a motif."""
    log = json.loads(file.with_suffix(".json").read_text())
    slope = log["recipe"]["slope"]
    model = menagerie(slope)
    model.load_state_dict(load_file(file))
    with tempfile.TemporaryDirectory() as folder:
        network = Network(model.eval(), name=file.stem, input_shape=(3, 64, 64), mean=MEAN, std=STD)
        graph = SignedGraph.of_bundle(extract(network, output=Path(folder) / file.stem))
    motifs = [motif for kind in MOTIFS_ASKED if isinstance(motif := MOTIFS[kind], Motif)]
    for result in assess(graph, [Task.of(motif) for motif in motifs]):
        yield {
            "network": file.stem,
            "slope": slope,
            "accuracy": log["test_accuracy"]["shape"],
            "motif": result.kind,
            "found": result.instances,
            "mean": result.null_mean,
            "sd": result.null_sd,
            "p": result.p,
        }


if __name__ == "__main__":
    main()
