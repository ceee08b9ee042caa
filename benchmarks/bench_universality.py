"""How far networks are found again in one another, layer by layer, with their nulls; and what
comparing costs.

``python benchmarks/bench_universality.py [--weights DIR] [--keep DIR] [GROUPS...]`` prints
Markdown. For each group of networks: one row a pair and third of the depth; one row a layer for
some pairs; strong edges and motifs that are preserved, and features found in several networks, with
their nulls; calibration (a network against its own twin, twin against twin); seconds and peak
memory of all pairs, in a process of its own. The group *unrelated* is calibration alone: seven
networks with smooth filters that were drawn independently. The bundled networks need nothing; the
others their weights files (``--weights``). ``--keep`` keeps the bundles, and takes them from there
the next time.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from circuitome.extract import Network

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
CIFAR = f"{ROOT}/tests/support/architectures/cifar_resnet.py"
INCEPTION = f"{ROOT}/tests/support/architectures/inception_v3_2015.py"
NETWORKS = {
    "menagerie_s0": ("menagerie_s0", None),
    "menagerie_s1": ("menagerie_s1", None),
    "menagerie_s2": ("menagerie_s2", None),
    "resnet20": (f"{CIFAR}:resnet20", "resnet20_cifar10"),
    "resnet20_c": (f"{CIFAR}:resnet20", "resnet20_cifar10_seedC"),
    "resnet20_d": (f"{CIFAR}:resnet20", "resnet20_cifar10_seedD"),
    "resnet32": (f"{CIFAR}:resnet32", "resnet32_cifar10"),
    "resnet56": (f"{CIFAR}:resnet56", "resnet56_cifar10"),
    "squeezenet1_1": ("squeezenet1_1", "squeezenet1_1_imagenet"),
    "squeezenet1_0": ("squeezenet1_0", "squeezenet1_0_deepcompression"),
    "inception_early": (f"{INCEPTION}:early", "inception_v3_tf2015_early"),
}
GROUPS = {
    "menagerie": ("menagerie_s0", "menagerie_s1", "menagerie_s2"),
    "cifar": ("resnet20", "resnet20_c", "resnet20_d", "resnet32", "resnet56"),
    "squeezenet": ("squeezenet1_1", "squeezenet1_0"),
    "imagenet": ("squeezenet1_1", "inception_early"),
    "three": ("squeezenet1_1", "squeezenet1_0", "inception_early"),
    "unrelated": (),
}
SHOWN = {
    ("menagerie_s0", "menagerie_s1"),
    ("resnet20", "resnet20_c"),
    ("squeezenet1_1", "squeezenet1_0"),
}
SHOWN |= {("squeezenet1_1", "inception_early")}
CALIBRATED = {"menagerie": "menagerie_s0", "cifar": "resnet20", "squeezenet": "squeezenet1_1"}
UNRELATED = 7  # networks
FEATURES = 30  # that are listed
COLUMNS = {
    "layer": "layer",
    "neurons": "neurons",
    "median match": "score",
    "share of possible": "share",
    "a twin's": "twin_finds",
    "in a twin": "found_in_twin",
    "twin in twin": "twin_in_twin",
    "shuffled": "shuffled",
    "AUC": "auc",
    "AUC of excess": "auc_excess",
    "q <= .05": "significant",
    "mutual": "mutual",
    "least q": "least_q",
    "most alike": "aligned",
    "CKA": "cka",
    "R2": "r2",
    "a twin's R2": "null_r2",
    "R2, q <= .05": "read_out",
}


def signed(
    name: str, folder: Path, weights: Path | None, twin_seed: int | None = None
) -> tuple[Path, float | None]:
    """The bundle of a network (or of a twin of it) with signatures, and the CPU seconds that
    they took; None if it was there.
    """
    import torch

    from circuitome.extract import Network
    from circuitome.extract.inputs import shapes_of
    from circuitome.extract.models.resolve import resolve
    from circuitome.extract.responses.twins import smooth_twin
    from circuitome.extract.stimuli.gallery import gallery
    from circuitome.extract.wiring import Wiring
    from circuitome.graphdb.bundle import Bundle

    key = name if twin_seed is None else f"{name}_twin{twin_seed}"
    path = folder / f"{key}.circuitome"
    if path.exists():
        return path, None
    spec, file = NETWORKS[name]
    network = resolve(
        spec, weights=None if file is None else str((weights or Path()) / f"{file}.safetensors")
    )
    model, (_, *size) = network.model, shapes_of(network.input_shape)[0]
    if twin_seed is not None:
        images = gallery().draw(np.arange(32), (size[0], size[1]))
        mean, std = (
            torch.tensor(v or [d] * 3).view(1, 3, 1, 1)
            for v, d in ((network.mean, 0.0), (network.std, 1.0))
        )
        own = Bundle.open(folder / f"{name}.circuitome")
        seeing = Wiring.from_json(own.wiring).seeing
        model = smooth_twin(model, twin_seed, images=(images - mean) / std, seeing=seeing)
    shown = Network(
        model, name=key, input_shape=network.input_shape, mean=network.mean, std=network.std
    )
    return path, sign(shown, path)


def sign(network: Network, path: Path) -> float:
    """Extract a network into ``path`` with its signatures; the CPU seconds of these."""
    import torch

    from circuitome.extract import extract
    from circuitome.extract.responses.signatures import write_signatures
    from circuitome.extract.stimuli.gallery import gallery
    from circuitome.extract.verify import exact_float32

    bundle = extract(network, output=path)
    began, device = time.process_time(), torch.device("cpu")
    with exact_float32():
        write_signatures(
            bundle, network.model, gallery(), device=device, seed=0, progress=lambda *_: None
        )
    return time.process_time() - began


def calibrate_unrelated(folder: Path) -> None:
    """Print what is believed of unrelated networks with smooth filters, over all ordered pairs."""
    print("| | ordered pairs | mean share at q <= .05 | largest | pairs above .05 |")
    print("|---|--:|--:|--:|--:|")
    for row in believed_of_unrelated(folder, range(UNRELATED)):
        print(
            f"| {row['what']} | {row['pairs']} | {row['mean']:.4f} | {row['largest']:.4f} | "
            f"{row['above']} |"
        )


def believed_of_unrelated(folder: Path, seeds: range) -> list[dict[str, Any]]:
    """Shares of neurons at q <= .05 over all ordered pairs of unrelated networks, for matches and
    for read-outs.
    """
    from circuitome.extract import Network
    from tests.support.unrelated_networks import INPUT, unrelated

    paths = [folder / f"unrelated{seed}.circuitome" for seed in seeds]
    for seed, path in zip(seeds, paths, strict=True):
        if not path.exists():
            sign(Network(unrelated(seed), name=path.stem, input_shape=INPUT), path)
    believed = apart(paths)["believed"]
    rows = []
    for name, table in (("matches", "ANALOGOUS_TO"), ("read-outs", "READ_OUT_OF")):
        shares = np.array([share for key, (share, _) in believed.items() if table in key])
        found = {"mean": float(shares.mean()), "largest": float(shares.max())}
        rows.append(
            {"what": name, "pairs": len(shares), **found, "above": int((shares > 0.05).sum())}
        )
    return rows


def compared(paths: Sequence[Path]) -> dict[str, Any]:
    """All pairs of the bundles in this process: rows a layer, seconds and peak memory."""
    from circuitome.graphdb.bundle import Bundle
    from circuitome.universality.circuits import compare_circuits
    from circuitome.universality.compare import compare, open_all
    from circuitome.universality.features import chance, features, mutual_links

    began, cpu = time.perf_counter(), time.process_time()
    rows, believed, circuits, matches = [], {}, [], []
    for a, b in combinations(open_all([Bundle.open(path) for path in paths]), 2):
        found = compare_circuits(compare(a, b), a.bundle, b.bundle)
        circuits += [row for row in found.circuits if row["senders"] is None]
        matches.append(found.tables["ANALOGOUS_TO"])
        rows.append((a.model, b.model, list(found.layers)))
        for table in ("ANALOGOUS_TO", "READ_OUT_OF"):
            keys, q = (
                np.array(found.tables[table]["from"].to_pylist()),
                np.array(found.tables[table]["q"]),
            )
            for one, other in ((a.model, b.model), (b.model, a.model)):
                own = np.char.startswith(keys, f"{one}/")
                believed[f"{one} in {other}, {table}"] = (
                    float((q[own] <= 0.05).mean()),
                    int(own.sum()),
                )
    links = mutual_links(matches)
    shared = {
        "chance": chance(links),
        "features": [one.row() for one in features(links)[:FEATURES]],
    }
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    costs = {"seconds": seconds, "cpu": cpu, "peak_gb": peak}
    return {"pairs": rows, "believed": believed, "circuits": circuits} | shared | costs


def apart(paths: Sequence[Path]) -> dict[str, Any]:
    """`compared` in a process of its own."""
    command = [sys.executable, __file__, "--compare", *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr.strip()[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def thirds(pairs: Sequence[Any]) -> str:
    """One row a pair, direction and third of the depth: medians over its layers."""
    names = (
        "score",
        "share",
        "twin_finds",
        "twin_in_twin",
        "auc",
        "auc_excess",
        "significant",
        "r2",
        "null_r2",
    )
    lines = [
        "| network | found in | depth | layers | median match | share of possible | a twin's | "
        "twin in twin | AUC | AUC of excess |"
        " q <= .05 | R2 | a twin's R2 |\n|" + "---|" * 13 + "\n"
    ]
    for a, b, layers in pairs:
        for model in (a, b):
            own = [row for row in layers if row["model"] == model]
            for number, name in enumerate(("first third", "second", "last")):
                part = [row for row in own if min(int(row["depth"] * 3 - 1e-9), 2) == number]
                if part:
                    cells = " | ".join(
                        f"{np.median([row[key] for row in part]):.2f}" for key in names
                    )
                    lines.append(
                        f"| {model} | {part[0]['other']} | {name} | {len(part)} | {cells} |\n"
                    )
    return "".join(lines)


def by_layer(layers: Sequence[dict[str, Any]]) -> str:
    """One row a layer."""
    lines = ["| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS) + "\n"]
    for row in layers:
        cells = [
            f"{row[key]:.2f}" if isinstance(row[key], float) else str(row[key])
            for key in COLUMNS.values()
        ]
        lines.append("| " + " | ".join(cells) + " |\n")
    return "".join(lines)


def table(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> str:
    """Some columns of rows."""
    lines = ["| " + " | ".join(names) + " |\n|" + "---|" * len(names) + "\n"]
    for row in rows:
        cells = [row[name] for name in names]
        lines.append(
            "| "
            + " | ".join(f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in cells)
            + " |\n"
        )
    return "".join(lines)


def main() -> None:
    """Make what is missing, compare, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("groups", nargs="*", help=f"of {', '.join(GROUPS)}")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--keep", type=Path, help="folder of the bundles")
    parser.add_argument("--compare", nargs="+", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.compare:
        print(json.dumps(compared(options.compare)))
        return
    groups = options.groups or (GROUPS if options.weights else ["menagerie", "unrelated"])
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        for group in groups:
            print(f"\n## {group}\n", flush=True)
            if group == "unrelated":
                calibrate_unrelated(folder)
                continue
            made = [signed(name, folder, options.weights) for name in GROUPS[group]]
            for name, (_, seconds) in zip(GROUPS[group], made, strict=True):
                if seconds is not None:
                    print(f"Signatures of {name}: {seconds:.0f} s of one core.\n", flush=True)
            found = apart([path for path, _ in made])
            print(thirds(found["pairs"]))
            print(
                f"All pairs: {found['seconds']:.0f} s ({found['cpu']:.0f} s of CPU), "
                f"{found['peak_gb']:.2f} GB at the peak.\n"
            )
            print(
                table(
                    found["circuits"],
                    ("model", "other", "what", "found", "again", "expected", "sd", "p", "null"),
                )
            )
            print(table(found["chance"], ("models", "features", "expected", "sd", "p")))
            print(table(found["features"], ("feature", "models", "depth", "score", "neurons")))
            for a, b, layers in found["pairs"]:
                if (a, b) in SHOWN:
                    for model, other in ((a, b), (b, a)):
                        print(f"\n### {model} in {other}\n")
                        print(
                            by_layer([row for row in layers if row["model"] == model]), flush=True
                        )
            if group in CALIBRATED:
                name = CALIBRATED[group]
                twins = [signed(name, folder, options.weights, seed)[0] for seed in (991, 992)]
                print("\nShare of neurons at q <= .05 where nothing was learned:\n")
                for label, (share, neurons) in apart([folder / f"{name}.circuitome", *twins])[
                    "believed"
                ].items():
                    print(f"- {label}: {share:.4f} of {neurons}")


if __name__ == "__main__":
    main()
