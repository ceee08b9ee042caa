"""A network as one value: the model, and everything that its row of the `Model` table says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import nn

from circuitome.errors import CircuitomeError
from circuitome.extract.inputs import InputShape, shapes_of
from circuitome.extract.models.fitting import Target, WeightsFile, fit_file
from circuitome.extract.models.weights import digest

__all__ = ["ModelError", "Network"]


class ModelError(CircuitomeError):
    """A model that is not known, cannot be built, or is described wrongly."""


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A model ready to be extracted.

    Example:
        >>> Network(nn.Conv2d(3, 8, 5).eval(), name="mine", input_shape=(3, 64, 64)).name
        'mine'
    """

    model: nn.Module
    """In eval mode, float32."""
    name: str = "network"
    """Key of the model in the graph."""
    input_shape: InputShape = (3, 224, 224)
    """Channels, height, width; of signals channels and length, of volumes with a depth before the
    height. Of a network that takes several inputs their shapes, as its forward takes them."""
    mean: Sequence[float] | None = None
    """Subtracted from each input channel; None if nobody said."""
    std: Sequence[float] | None = None
    """Each input channel is divided by it; None if nobody said."""
    task: str = ""
    """What it was trained for, or empty."""
    labels: Sequence[str] = ()
    """Names of the classes in the order of the logits, or empty."""
    architecture: str = ""
    """What was typed (of ``path/file.py:factory`` only ``file.py:factory``); empty: the class
    of the model.
    """
    weights: str = ""
    """Name of the weights file, ``DEFAULT``, ``random``, or ``factory``: as the factory left
    them.
    """
    seed: int = 0
    """Of everything random in it."""
    taken: str = ""
    """One line about what was chosen from the weights file; empty if nothing had to be."""
    left_out: Sequence[str] = ()
    """Modules of the head that were left out, because the weights file lacks them."""
    until: str = ""
    """Module that the network ends before (`end_before`); empty: it is whole."""

    def with_weights(self, weights: str | WeightsFile) -> Network:
        """The network with the weights of a checkpoint, which are put into its ``model``.

        Args:
            weights: a file, ``FILE::KEY``, or a `WeightsFile` that may leave out the head.

        Raises:
            WeightsError: the file cannot be read, or holds no network that fits, or two.
        """
        file = WeightsFile.of(weights) if isinstance(weights, str) else weights
        target = Target(
            self.model, self.architecture or type(self.model).__name__, self.input_shape
        )
        fitted = fit_file(target, file)
        return replace(
            self,
            weights=file.name,
            taken=fitted.told,
            left_out=fitted.left_out,
            labels=() if fitted.left_out else self.labels,
        )

    @property
    def weights_sha256(self) -> str:
        """`circuitome.extract.models.weights.digest` of the model."""
        return digest(self.model)

    def row(self) -> dict[str, object]:
        """What the `Model` table says of the network itself."""
        return {
            "key": self.name,
            "architecture": self.architecture or type(self.model).__name__,
            "weights": self.weights,
            "weights_sha256": self.weights_sha256,
            "task": self.task or None,
            "input_shape": list(shapes_of(self.input_shape)[0]),
            "mean": None if self.mean is None else list(self.mean),
            "std": None if self.std is None else list(self.std),
            "seed": self.seed,
        }
