"""A stage: some layers of a network in front of patches, each unit read where it looks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from torch import Tensor, nn

from circuitome.extract.fields import field_geometries
from circuitome.extract.geometry import FieldGeometry
from circuitome.extract.responses.probes import Probe, assemble
from circuitome.extract.responses.runner import Runner, Subject, units_around
from circuitome.extract.wiring import Wiring

__all__ = ["Stage"]


@dataclass(frozen=True, slots=True)
class Stage:
    """Layers of a network that are probed together: what runs them, and where their units look."""

    subject: Subject
    probe: Probe
    fields: tuple[FieldGeometry, ...]
    """Of every layer of the wiring."""
    runner: Runner
    """Gives the maps of the layers that are read, and of those that these read."""

    @classmethod
    def of(
        cls, subject: Subject, probe: Probe, layers: Iterable[int], *, batch: int | None = None
    ) -> Stage:
        """Set up for some layers, in batches of ``batch`` images."""
        runner = subject.runner(layers, batch=batch)
        return cls(subject, probe, field_geometries(subject.wiring), runner)

    @property
    def wiring(self) -> Wiring:
        """The network's wiring."""
        return self.subject.wiring

    @property
    def stride(self) -> int:
        """Patches that are shown at a time."""
        return self.runner.batch * self.probe.patches

    def rebound(self, model: nn.Module) -> Stage:
        """The same for a model of the same wiring with other weights, such as a twin."""
        return replace(self, runner=self.runner.rebound(model))

    def images(self, patches: Tensor) -> Tensor:
        """Images ``(n, 3, H, W)`` of patches ``(n * patches, 3, side, side)``."""
        return assemble(self.probe, patches)

    def maps(self, patches: Tensor) -> dict[str, Tensor]:
        """Maps ``(n, C, H, W)`` of the layers, by node, of patches ``(n * patches, 3, side,
        side)``.
        """
        return self.runner(self.images(patches))

    def strongest(self, index: int, maps: Tensor) -> Tensor:
        """Largest activation ``(n * patches, C)`` of each patch's unit and its neighbours."""
        around = units_around(self.probe, self.fields[index], maps, margin=1)
        return self.subject.activation(index, around).amax(2)
