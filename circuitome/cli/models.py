"""Commands about one network: extract it, prove the bundle, check its files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from circuitome.cli.annotate import Images, Twins, annotate_bundle, parts_of
from circuitome.cli.options import (
    LARGEST_NUMBER,
    AsJson,
    BundlePath,
    Device,
    ModelAgain,
    Weights,
    floats,
    integers,
    kept_share,
)
from circuitome.cli.output import note, plural, progress, show_rows, visible

__all__ = ["check", "extract", "verify"]


def extract(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            show_default=False,
            help="A torchvision or bundled name, package.module:factory or path/file.py:factory (that code is run).",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="BUNDLE",
            help="The bundle to write.  [default: NAME.circuitome]",
        ),
    ] = None,
    weights: Weights = None,
    name: Annotated[
        str | None,
        typer.Option(help="Key of the model in the graph.  [default: as MODEL is called]"),
    ] = None,
    input_size: Annotated[
        str | None,
        typer.Option(
            metavar="C,H,W",
            help="Channels, height, width.  [default: what MODEL says, or 3,224,224]",
        ),
    ] = None,
    mean: Annotated[
        str | None, typer.Option(metavar="M,...", help="Subtracted from each input channel.")
    ] = None,
    std: Annotated[
        str | None, typer.Option(metavar="S,...", help="Each input channel is divided by it.")
    ] = None,
    keep: Annotated[
        str,
        typer.Option(
            metavar="SHARE|all",
            help="Keep the strongest edges up to this share of each neuron's squared fan-in norm.",
        ),
    ] = "0.99",
    top: Annotated[
        int | None,
        typer.Option(
            metavar="K",
            min=1,
            max=LARGEST_NUMBER,
            help="Keep at most this many incoming edges a neuron.",
        ),
    ] = None,
    span: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            help="Expanded weights: residual additions to multiply out, besides bottlenecks.",
        ),
    ] = 1,
    annotate: Annotated[
        str,
        typer.Option(
            metavar="none|all|PART,...",
            help="Say what each neuron does, too, as `annotate --parts` (takes minutes).",
        ),
    ] = "none",
    twins: Twins = 10,
    images: Images = None,
    device: Device = "auto",
    seed: Annotated[
        int, typer.Option(min=0, max=LARGEST_NUMBER, help="Seed of everything random.")
    ] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace a bundle that is there.")] = False,
    allow_nonfinite: Annotated[
        bool,
        typer.Option(
            "--allow-nonfinite",
            help="Mark neurons with NaN or infinite weights, instead of refusing them.",
        ),
    ] = False,
) -> None:
    """Turn a network into a bundle.

    The bundle is a folder: neurons, signed weighted edges, kernels, a manifest.

    \b
    Examples:
      circuitome extract squeezenet1_1 --weights squeezenet1_1.safetensors
      circuitome extract nets.py:resnet20 --weights resnet20.pth --input-size 3,32,32 --name mine
      circuitome extract densenet121 --weights random --keep all -o random.circuitome
      circuitome extract resnet50 --top 50 --span 2
      circuitome extract googlenet --annotate all

    Prints the bundle's path. Without --weights a name gets its published weights, and a factory's network is taken as it
    was built.
    """
    size, means, deviations, share = (
        integers(input_size, "--input-size"),
        floats(mean, "--mean"),
        floats(std, "--std"),
        kept_share(keep),
    )
    parts = () if annotate == "none" else parts_of(annotate, "--annotate")
    if parts and allow_nonfinite:
        raise typer.BadParameter(
            "responses need weights that are finite: leave out --annotate",
            param_hint="--allow-nonfinite",
        )
    from circuitome.extract import Options, Pruning
    from circuitome.extract import extract as extract_model
    from circuitome.extract.models.resolve import is_known_name, resolve

    network = resolve(
        model,
        weights=weights,
        name=name,
        input_size=size,
        mean=means,
        std=deviations,
        seed=seed,
        allow_nonfinite=allow_nonfinite,
    )
    with progress() as report:
        bundle = extract_model(
            network,
            output=output,
            keep=Pruning(share, top),
            force=force,
            options=Options(span, device, allow_nonfinite),
            progress=report,
        )
    counts = bundle.manifest.counts
    note(
        f"{plural(counts['neurons'], 'neuron')}, {plural(counts['edges'], 'edge')} ({counts['dropped']:,} dropped by "
        f"pruning), {plural(counts['expanded'], 'expanded edge')}"
    )
    if marked := bundle.manifest.nonfinite:
        note(
            f"{plural(len(marked), 'neuron')} with weights that are not finite, the first {marked[0]}: edges with such kernels "
            "are left out; the bundle can be neither verified nor annotated"
        )
    elif parts:
        annotate_bundle(
            bundle, network.model, parts=parts, twins=twins, images=images, device=device, seed=seed
        )
    else:
        again = "" if is_known_name(network.architecture) else f" {model}"
        again += f" --weights {weights}" if weights not in (None, "DEFAULT", "random") else ""
        note(
            f"not annotated: `circuitome annotate {bundle.path}{again}` says what each neuron does"
        )
    print(visible(str(bundle.path), lines=False))


def verify(
    bundle: BundlePath,
    model: ModelAgain = None,
    weights: Weights = None,
    device: Annotated[
        str, typer.Option("--device", metavar="auto|cpu|cuda|mps", help="Where to compute.")
    ] = "cpu",
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_NUMBER, help="Seed of the inputs.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Prove that a bundle is its network.

    Each layer gets the network's own activations of its sources, goes through the bundle's kernels and wiring alone, and
    is compared with the network: its relative error may be 1e-5. Exit code 1 where a layer's is larger.

    \b
    Examples:
      circuitome verify squeezenet1_1.circuitome --weights squeezenet1_1.safetensors
      circuitome verify mine.circuitome nets.py:resnet20 --weights resnet20.pth
    """
    from circuitome.extract import verify as verify_bundle
    from circuitome.extract.models.resolve import resolve_again
    from circuitome.graphdb.bundle import Bundle

    opened = Bundle.open(bundle)
    network = resolve_again(opened.manifest.model, spec=model, weights=weights, bundle=str(bundle))
    with progress() as report:
        checks = verify_bundle(opened, network.model, device=device, seed=seed, progress=report)
    rows = [
        {"layer": c.layer, "op": c.op, "part": c.part, "error": c.error, "ok": c.ok} for c in checks
    ]
    show_rows(rows, as_json=as_json)
    failed = [check for check in checks if not check.ok]
    if failed:
        note(
            f"{bundle}: {len(failed)} of {plural(len(checks), 'check')} failed, the first at {failed[0].layer}; extract it again"
        )
        raise typer.Exit(1)
    note(
        f"{bundle}: {plural(len(checks), 'check')} passed, largest error {max(check.error for check in checks):.1e}"
    )


def check(
    bundles: Annotated[
        list[Path],
        typer.Argument(metavar="BUNDLE...", show_default=False, help="Bundles to read through."),
    ],
) -> None:
    """Read a bundle through for damage.

    Every file is there and unaltered, every table has its columns, every key is there once, every relationship ends at
    nodes, and no number is NaN. A line for each problem, and exit code 1 where there is one.

    \b
    Example:
      circuitome check squeezenet1_1.circuitome
    """
    from circuitome.graphdb.bundle import Bundle

    failed = 0
    for path in bundles:
        bundle = Bundle.open(path)
        faults = 0
        for fault in bundle.faults():
            note(fault)
            faults += 1
        failed += faults > 0
        files = plural(len(bundle.manifest.files), "file")
        note(
            f"{path}: {plural(faults, 'problem')}; extract the bundle again"
            if faults
            else f"{path}: whole ({files} as the manifest says)"
        )
    if failed:
        raise typer.Exit(1)
