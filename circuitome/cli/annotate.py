"""The command that says what each neuron does, and what `extract --annotate` shares with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from circuitome.cli.options import LARGEST_NUMBER, AsJson, BundlePath, Device, ModelAgain, Weights
from circuitome.cli.output import note, progress, show_rows, visible
from circuitome.graphdb.schema import PARTS, parts_done

if TYPE_CHECKING:
    from torch import nn

    from circuitome.extract import Network
    from circuitome.extract.inputs import InputShape
    from circuitome.graphdb.bundle import Bundle
    from circuitome.graphdb.rows import Row

__all__ = [
    "Images",
    "Twins",
    "annotate",
    "annotate_bundle",
    "network_of",
    "parts_of",
    "pictures_alone",
    "tell_taken",
]

Twins = Annotated[
    int,
    typer.Option(
        "--twins",
        metavar="N",
        min=3,
        help="Null networks to compare with; more make p and q finer.",
    ),
]
Images = Annotated[
    Path | None,
    typer.Option(
        "--images",
        metavar="DIR",
        exists=True,
        file_okay=False,
        help="Folder of your own pictures to show as well.",
    ),
]
Parts = Annotated[
    str | None,
    typer.Option(
        "--parts",
        metavar="all|PART,...",
        help=f"{', '.join(PARTS)}; what a part needs is done, too.  [default: all]",
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        "--seed", min=0, max=LARGEST_NUMBER, help="Seed of the stimuli and of the null networks."
    ),
]
Families = Annotated[
    Path | None,
    typer.Option(
        "--families",
        metavar="FILE.csv",
        help="Curated families: family, neuron, offset (and group).",
    ),
]
_SHARES: Final = ("explained", "equivariant", "in_families", "invariant")


def annotate(
    bundle: BundlePath,
    model: ModelAgain = None,
    weights: Weights = None,
    parts: Parts = None,
    twins: Twins = 10,
    images: Images = None,
    device: Device = "auto",
    seed: Seed = 0,
    families: Families = None,
    as_json: AsJson = False,
) -> None:
    """Describe what each neuron responds to: kinds, partners, families.

    Shows stimuli to the network and adds to the bundle: responses, the kind of every neuron,
    equivariant pairs, families, invariance, circuits between families, each compared with its null.
    After an interruption it continues; parts that are complete are kept. Prints a line for each
    layer.

    \b
    Examples:
      circuitome annotate squeezenet1_1.circuitome --weights squeezenet1_1.safetensors
      circuitome annotate mine.circuitome nets.py:resnet20 --weights resnet20.pth --parts kinds
      circuitome annotate squeezenet1_1.circuitome --families curves.csv

    With --families, but without MODEL, --weights and --parts, only the families of the file are
    added.
    """
    wanted = parts_of(parts or "all", "--parts")
    from circuitome.extract.inputs import inputs_in
    from circuitome.graphdb.bundle import Bundle

    opened = Bundle.open(bundle)
    opened.check()
    if families is not None:
        opened = _curated(opened, families)
    if families is None or (model, weights, parts) != (None, None, None):
        pictures_alone(inputs_in(opened.manifest), source=str(bundle))
        network = network_of(opened, bundle, model, weights, command="annotate").model
        how = {"twins": twins, "images": images, "device": device, "seed": seed}
        opened = annotate_bundle(opened, network, parts=wanted, **how)
        show_rows(
            _layer_rows(opened),
            as_json=as_json,
            empty=f"{bundle}: these parts have nothing to show of single layers",
        )
    elif as_json:
        show_rows([], as_json=True)
    note(f"`circuitome load {bundle}` puts it into a database")


def parts_of(text: str, option: str) -> tuple[str, ...]:
    """The parts that ``all`` or names between commas ask for, in their order; wrong use for other
    names.
    """
    named = tuple(PARTS) if text == "all" else tuple(part.strip() for part in text.split(","))
    if unknown := [part for part in named if part not in PARTS]:
        raise typer.BadParameter(
            f"{unknown[0]!r}: give all, or some of {', '.join(PARTS)} between commas",
            param_hint=option,
        )
    return tuple(part for part in PARTS if part in named)


def annotate_bundle(bundle: Bundle, model: nn.Module, **options: Any) -> Bundle:
    """`circuitome.extract.annotate.pipeline.annotate` with bars on stderr, and a word about what is
    done.
    """
    from circuitome.extract.annotate.pipeline import annotate as annotate_network

    try:
        with progress() as report:
            annotated = annotate_network(bundle, model, progress=report, **options)
    except KeyboardInterrupt:
        note(
            f"{bundle.path}: stopped; finished layers are kept, the same command goes on with them"
        )
        raise
    row = annotated.manifest.model
    note(f"{bundle.path}: annotated ({', '.join(parts_done(row)) or 'nothing'})")
    _tell_families(annotated)
    return annotated


def pictures_alone(inputs: InputShape, *, source: str) -> None:
    """Refuse to annotate a network whose input is no picture, or more than one."""
    from circuitome.extract.annotate.session import refuse_other_inputs

    refuse_other_inputs(inputs, source=source)


def _tell_families(bundle: Bundle) -> None:
    """How finely the null layers of families can tell."""
    searched = bundle.manifest.note("families")
    if isinstance(searched, dict) and "families" in parts_done(bundle.manifest.model):
        note(
            f"families: {searched['cells']:,} layers and groups of transforms, up to "
            f"{searched['null_layers']:,} null layers; no q can be below {searched['least_q']:.2g}"
        )


def network_of(
    bundle: Bundle, path: Path, model: str | None, weights: str | None, *, command: str
) -> Network:
    """The network that a bundle was made from, as its manifest and the command line say."""
    from circuitome.extract.models.resolve import resolve_again

    network = resolve_again(
        bundle.manifest.model,
        spec=model,
        weights=weights,
        bundle=str(path),
        command=command,
        notes={name: bundle.manifest.note(name) for name in ("inputs", "left_out", "until")},
    )
    tell_taken(network)
    return network


def tell_taken(network: Network) -> None:
    """What was chosen from the weights file, on stderr."""
    if network.taken:
        note(visible(network.taken))


def _curated(bundle: Bundle, file: Path) -> Bundle:
    from circuitome.extract.annotate.curated import load_families

    amended = load_families(bundle, file)
    sources = amended.table("Family")["source"].to_pylist()
    note(
        f"{bundle.path}: the families of {file} are in; "
        f"{sources.count('curated')} of its families are curated"
    )
    return amended


def _layer_rows(bundle: Bundle) -> list[Row]:
    """One row a layer that has any share to tell."""
    rows = []
    for layer in sorted(bundle.table("Layer").to_pylist(), key=lambda row: row["index"]):
        shares = {name: layer[name] for name in _SHARES}
        if any(share is not None for share in shares.values()):
            rows.append({"layer": layer["name"], "neurons": layer["channels"], **shares})
    return rows
