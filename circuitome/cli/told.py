"""What `extract` says on stderr beside the path of its bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from circuitome.cli.output import note, plural

if TYPE_CHECKING:
    from circuitome.extract import Network
    from circuitome.graphdb.bundle import Bundle

__all__ = ["tell_assumed_size", "tell_counts", "tell_how_to_annotate", "tell_unnamed"]


def tell_assumed_size(network: Network, input_size: list[str] | None) -> None:
    """That nobody said how large the input is."""
    from circuitome.extract.models.about import About
    from circuitome.extract.models.resolve import is_known_name

    known = is_known_name(network.architecture) or About.of(network.model).input_shape
    if not input_size and not known:
        note("input size 3,224,224, for nothing says another; give yours with --input-size C,H,W")


def tell_unnamed(bundle: Bundle, labels: tuple[str, ...]) -> None:
    """That no output has as many channels as there are names."""
    if labels and not set(labels) & set(bundle.table("Neuron")["label"].to_pylist()):
        note(
            f"the {plural(len(labels), 'name')} of --classes are not used: no output has as many "
            "neurons; extract again with --force and the names of all"
        )


def tell_counts(bundle: Bundle) -> None:
    """What the bundle holds."""
    counts = bundle.manifest.counts
    note(
        f"{plural(counts['neurons'], 'neuron')}, {plural(counts['edges'], 'edge')} "
        f"({counts['dropped']:,} dropped by pruning), "
        f"{plural(counts['expanded'], 'expanded edge')}"
    )
    if marked := bundle.manifest.nonfinite:
        note(
            f"{plural(len(marked), 'neuron')} with weights that are not finite, the first "
            f"{marked[0]}: edges with such kernels are left out; "
            "the bundle can be neither verified nor annotated"
        )


def tell_how_to_annotate(
    bundle: Bundle, architecture: str, model: str, weights: str | None
) -> None:
    """The command that annotates, if stimuli can be shown to the network."""
    from circuitome.extract.inputs import inputs_in, is_picture
    from circuitome.extract.models.resolve import is_known_name

    if bundle.manifest.note("single") or not is_picture(inputs_in(bundle.manifest)):
        return
    again = "" if is_known_name(architecture) else f" {model}"
    again += f" --weights {weights}" if weights not in (None, "DEFAULT", "random") else ""
    note(
        f"not annotated: `circuitome annotate {bundle.path}{again}` "
        "describes what each neuron responds to"
    )
