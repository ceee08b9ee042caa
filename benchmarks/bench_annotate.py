"""What annotation finds, layer by layer, on real networks and on a twin of each; and what it costs.

``python benchmarks/bench_annotate.py [--weights DIR] [NAMES...]`` prints Markdown: of every layer
the number of neurons, and the shares that are explained, equivariant at q <= 0.05, in families, and
invariant; beside each share that of a twin network (every filter's entries permuted), annotated in
the same way. Then seconds and peak memory of each annotation, on a process of its own.
`draw_families.py` draws what was found.

SqueezeNet and Inception need their weights files (``--weights``); the bundled networks need
nothing.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
NETWORKS = {
    "menagerie_s0": ("menagerie_s0", None),
    "menagerie_s1": ("menagerie_s1", None),
    "menagerie_s2": ("menagerie_s2", None),
    "squeezenet1_1": ("squeezenet1_1", "squeezenet1_1_imagenet.safetensors"),
    "inception_early": (
        f"{ROOT}/tests/support/architectures/inception_v3_2015.py:early",
        "inception_v3_tf2015_early.safetensors",
    ),
}
SHARES = ("explained", "equivariant", "in_families", "invariant")


def annotated(
    name: str, weights: Path | None, twin_of: bool, output: Path, twins: int
) -> dict[str, Any]:
    """Extract and annotate one network (or its twin) in this process."""
    import torch

    from circuitome.extract import Network, Options, extract
    from circuitome.extract.annotate.pipeline import annotate
    from circuitome.extract.inputs import shapes_of
    from circuitome.extract.models.resolve import resolve
    from circuitome.extract.responses.twins import twin
    from circuitome.extract.stimuli.ensemble import natural_like

    spec, file = NETWORKS[name]
    network = resolve(
        spec, weights=None if file is None else str((weights or Path()) / file), name=name
    )
    model = network.model
    if twin_of:
        images = natural_like(32, shapes_of(network.input_shape)[0][1], seed=5)
        mean, std = (
            torch.tensor(v or [d] * 3).view(1, 3, 1, 1)
            for v, d in ((network.mean, 0.0), (network.std, 1.0))
        )
        model = twin(model, 99, images=(images - mean) / std)
    bundle = extract(
        Network(
            model, name=name, input_shape=network.input_shape, mean=network.mean, std=network.std
        ),
        output=output,
        force=True,
        options=Options(span=None),
    )
    start = time.perf_counter()
    done = annotate(bundle, model, twins=twins, device="cpu")
    seconds = time.perf_counter() - start
    layers = [
        {
            "layer": row["name"],
            "neurons": row["channels"],
            **{share: row[share] for share in SHARES},
        }
        for row in done.table("Layer").to_pylist()
        if row["op"] != "input"
    ]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "seconds": seconds,
        "peak_gb": peak,
        "layers": layers,
        "families": done.table("Family").num_rows,
    }


def apart(name: str, options: argparse.Namespace, output: Path, *, twin_of: bool) -> dict[str, Any]:
    """`annotated` in a process of its own."""
    command = [
        sys.executable,
        __file__,
        "--one",
        name,
        "--output",
        str(output),
        "--twins",
        str(options.twins),
    ]
    command += ["--twin"] if twin_of else []
    command += ["--weights", str(options.weights)] if options.weights else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def table(name: str, real: dict[str, Any], null: dict[str, Any]) -> str:
    """Both as one Markdown table; of the twin in brackets."""
    lines = [
        f"\n### {name}\n\n",
        "| layer | neurons | explained | equivariant | in families | invariant "
        "|\n|---|---:|---:|---:|---:|---:|\n",
    ]
    for row, other in zip(real["layers"], null["layers"], strict=True):
        cells = " | ".join(f"{_percent(row[share])} ({_percent(other[share])})" for share in SHARES)
        lines.append(f"| {row['layer']} | {row['neurons']} | {cells} |\n")
    lines.append(
        f"\n{real['families']} families, {null['families']} in the twin; {real['seconds']:.0f} "
        f"s, {real['peak_gb']:.1f} GB at the peak.\n"
    )
    return "".join(lines)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"


def main() -> None:
    """Annotate the named networks and their twins and print what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--keep", type=Path, help="folder for the annotated bundles")
    parser.add_argument("--twins", type=int, default=10)
    parser.add_argument("--one")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--twin", action="store_true")
    options = parser.parse_args()
    if options.one:
        print(
            json.dumps(
                annotated(options.one, options.weights, options.twin, options.output, options.twins)
            )
        )
        return
    names = options.names or [
        name for name, (_, file) in NETWORKS.items() if file is None or options.weights
    ]
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        for name in names:
            real = apart(name, options, folder / name, twin_of=False)
            null = apart(name, options, folder / f"{name}_twin", twin_of=True)
            print(table(name, real, null), flush=True)


if __name__ == "__main__":
    main()
