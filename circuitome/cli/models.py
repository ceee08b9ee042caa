"""Commands about one network: extract it, prove the bundle, check its files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from circuitome.cli.annotate import (
    Images,
    Twins,
    annotate_bundle,
    network_of,
    parts_of,
    pictures_alone,
    tell_taken,
)
from circuitome.cli.options import (
    LARGEST_NUMBER,
    AsJson,
    BundlePath,
    Device,
    ModelAgain,
    Weights,
    floats,
    kept_share,
    sizes,
)
from circuitome.cli.output import note, plural, progress, show_rows, visible
from circuitome.cli.told import (
    tell_assumed_size,
    tell_counts,
    tell_how_to_annotate,
    tell_unnamed,
)

if TYPE_CHECKING:
    from circuitome.extract import Network, Options, Pruning
    from circuitome.extract.models.resolve import WeightsFile
    from circuitome.extract.verify import LayerCheck
    from circuitome.graphdb.bundle import Bundle

__all__ = ["check", "extract", "verify"]


Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        show_default=False,
        help="A torchvision or bundled name, package.module:factory or path/file.py:factory (that "
        "code is run).",
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="BUNDLE",
        help="The bundle to write.  [default: NAME.circuitome]",
    ),
]
Name = Annotated[
    str | None,
    typer.Option("--name", help="Key of the model in the graph.  [default: the name of MODEL]"),
]
InputSize = Annotated[
    list[str] | None,
    typer.Option(
        "--input-size",
        metavar="C,H,W",
        help="Channels, height, width (C,L of signals, C,D,H,W of volumes); once for each "
        "input of a network that takes several.  [default: those of MODEL, or 3,224,224]",
    ),
]
Classes = Annotated[
    Path | None,
    typer.Option(
        "--classes",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="Names of the classes, one a line, in the order of the outputs.",
    ),
]
Mean = Annotated[
    str | None,
    typer.Option("--mean", metavar="M,...", help="Subtracted from each input channel."),
]
Std = Annotated[
    str | None,
    typer.Option("--std", metavar="S,...", help="Each input channel is divided by it."),
]
Head = Annotated[
    str,
    typer.Option(
        "--head",
        metavar="keep|drop",
        help="drop: leave out the last layers, and the classes, if the weights file lacks them.",
    ),
]
Until = Annotated[
    str,
    typer.Option(
        "--until",
        metavar="MODULE",
        help="End before this module, such as layer4: what it would read is put out.",
    ),
]
Keep = Annotated[
    str,
    typer.Option(
        "--keep",
        metavar="SHARE|all",
        help="Keep the strongest edges up to this share of each neuron's squared fan-in norm.",
    ),
]
Top = Annotated[
    int | None,
    typer.Option(
        "--top",
        metavar="K",
        min=1,
        max=LARGEST_NUMBER,
        help="Keep at most K incoming edges of each neuron.",
    ),
]
Span = Annotated[
    int,
    typer.Option(
        "--span",
        metavar="N",
        min=0,
        help="Expanded weights: residual additions to multiply out, besides bottlenecks.",
    ),
]
AnnotateParts = Annotated[
    str,
    typer.Option(
        "--annotate",
        metavar="none|all|PART,...",
        help="Describe what each neuron responds to, as `annotate --parts` (takes minutes).",
    ),
]
Seed = Annotated[
    int, typer.Option("--seed", min=0, max=LARGEST_NUMBER, help="Seed of everything random.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace a bundle that is there.")]
AllowNonfinite = Annotated[
    bool,
    typer.Option(
        "--allow-nonfinite",
        help="Mark neurons with NaN or infinite weights instead of refusing them.",
    ),
]


def extract(
    model: Model,
    output: Output = None,
    weights: Weights = None,
    head: Head = "keep",
    until: Until = "",
    name: Name = None,
    input_size: InputSize = None,
    classes: Classes = None,
    mean: Mean = None,
    std: Std = None,
    keep: Keep = "0.99",
    top: Top = None,
    span: Span = 1,
    annotate: AnnotateParts = "none",
    twins: Twins = 10,
    images: Images = None,
    device: Device = "auto",
    seed: Seed = 0,
    force: Force = False,
    allow_nonfinite: AllowNonfinite = False,
) -> None:
    """Turn a network into a bundle.

    The bundle is a folder: neurons, signed weighted edges, kernels, a manifest.

    \b
    Examples:
      circuitome extract squeezenet1_1 --weights squeezenet1_1.safetensors
      circuitome extract nets.py:resnet20 --weights resnet20.pth --input-size 3,32,32 --name mine
      circuitome extract nets.py:resnet20 --weights last.ckpt::ema
      circuitome extract resnet50 --weights backbone.pth --head drop
      circuitome extract swin_t --until features.1 --weights random
      circuitome extract nets.py:resnet20 --classes cifar10.txt --input-size 3,32,32
      circuitome extract densenet121 --weights random --keep all -o random.circuitome
      circuitome extract resnet50 --top 50 --span 2
      circuitome extract googlenet --annotate all

    Prints the bundle's path. Without --weights a name gets its published weights, and the network
    of a factory keeps its own.
    """
    given = sizes(input_size), floats(mean, "--mean"), floats(std, "--std")
    labels = _names_in(classes) if classes else ()
    pruning = kept_share(keep), top
    parts = _parts(annotate, allow_nonfinite=allow_nonfinite)
    from circuitome.extract import Options, Pruning
    from circuitome.extract.models.about import About
    from circuitome.extract.models.resolve import resolve

    network = resolve(
        model,
        weights=_weights_file(weights, head),
        name=name,
        said=About(*given, labels=labels, until=until),
        seed=seed,
        allow_nonfinite=allow_nonfinite,
    )
    if parts:
        pictures_alone(network.input_shape, source=model)
    tell_taken(network)
    tell_assumed_size(network, input_size)
    options = Options(span, device, allow_nonfinite)
    bundle = _extracted(network, output, Pruning(*pruning), options, force=force)
    tell_counts(bundle)
    tell_unnamed(bundle, labels)
    if parts and not bundle.manifest.nonfinite:
        how = {"twins": twins, "images": images, "device": device, "seed": seed}
        annotate_bundle(bundle, network.model, parts=parts, **how)
    elif not bundle.manifest.nonfinite:
        tell_how_to_annotate(bundle, network.architecture, model, weights)
    print(visible(str(bundle.path), lines=False))


def _weights_file(weights: str | None, head: str) -> WeightsFile | None:
    """What ``--weights`` and ``--head`` name; wrong use if only the head is named."""
    if head not in ("keep", "drop"):
        raise typer.BadParameter(f"{head!r}: give keep or drop", param_hint="--head")
    if weights is None and head == "drop":
        raise typer.BadParameter(
            "it leaves out what a weights file lacks: name the file with --weights",
            param_hint="--head",
        )
    from circuitome.extract.models.resolve import WeightsFile

    return None if weights is None else WeightsFile.of(weights, head=head)


def _extracted(
    network: Network, output: Path | None, keep: Pruning, options: Options, *, force: bool
) -> Bundle:
    """Write the bundle, with bars on stderr."""
    from circuitome.extract import extract as write

    with progress() as bars:
        return write(network, output=output, keep=keep, force=force, options=options, progress=bars)


def _parts(annotate: str, *, allow_nonfinite: bool) -> tuple[str, ...]:
    """Parts of the annotation that ``--annotate`` names."""
    parts = () if annotate == "none" else parts_of(annotate, "--annotate")
    if parts and allow_nonfinite:
        raise typer.BadParameter(
            "responses need weights that are finite: leave out --annotate",
            param_hint="--allow-nonfinite",
        )
    return parts


def _names_in(file: Path) -> tuple[str, ...]:
    """The names that a file has, one a line; wrong use if it has none or is no text."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError):
        lines = []
    names = tuple(line.strip() for line in lines if line.strip())
    if not names:
        raise typer.BadParameter(
            f"{file}: write the name of a class in each line, as UTF-8", param_hint="--classes"
        )
    return names


def verify(
    bundle: BundlePath,
    model: ModelAgain = None,
    weights: Weights = None,
    device: Annotated[
        str, typer.Option("--device", metavar="auto|cpu|cuda|mps", help="Device to compute on.")
    ] = "cpu",
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_NUMBER, help="Seed of the inputs.")] = 0,
    every: Annotated[
        bool, typer.Option("--all", help="Print every check, and not only those that failed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Prove that a bundle is its network.

    Each layer receives the network's own activations of its sources. The bundle's kernels and
    wiring compute its output, which is compared with the network's: once a layer, and once a
    summand of an addition. The edges of each layer are compared with its kernels (`edges`). Exit
    code 1 if the relative error of a layer is above 1e-5. Prints what failed; --json has all.

    \b
    Examples:
      circuitome verify squeezenet1_1.circuitome --weights squeezenet1_1.safetensors
      circuitome verify mine.circuitome nets.py:resnet20 --weights resnet20.pth
    """
    from circuitome.extract import verify as verify_bundle
    from circuitome.graphdb.bundle import Bundle

    opened = Bundle.open(bundle)
    network = network_of(opened, bundle, model, weights, command="verify")
    with progress() as report:
        checks = verify_bundle(opened, network.model, device=device, seed=seed, progress=report)
    rows = [
        {"layer": c.layer, "op": c.op, "part": c.part, "error": c.error, "ok": c.ok}
        for c in checks
        if every or as_json or not c.ok
    ]
    show_rows(rows, as_json=as_json)
    _tell_checks(bundle, checks)


def _tell_checks(bundle: Path, checks: list[LayerCheck]) -> None:
    """How many checks passed; exit code 1 if one failed."""
    failed = [check for check in checks if not check.ok]
    if failed:
        note(
            f"{bundle}: {len(failed)} of {plural(len(checks), 'check')} failed, "
            f"the first at {failed[0].layer}; extract it again"
        )
        raise typer.Exit(1)
    worst = max(check.error for check in checks)
    layers = plural(len({check.layer for check in checks}), "layer")
    note(
        f"{bundle}: {plural(len(checks), 'check')} of {layers} passed (kernels and wiring against "
        f"the network's activations, edges against kernels), largest error {worst:.1e}"
    )


def check(
    bundles: Annotated[
        list[Path],
        typer.Argument(metavar="BUNDLE...", show_default=False, help="Bundles to read through."),
    ],
) -> None:
    """Read a bundle through for damage.

    Every file is there and unaltered, every table has its columns, every key is there once, every
    relationship ends at nodes, and no number is NaN. Prints a line for each problem; exit code 1 if
    there is one.

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
