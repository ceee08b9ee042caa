"""Weights and activations in, tables out: the only part that computes with torch.

The ground floor looks at no image: model -> wiring (`trace`) -> edges (`edges`) -> bundle
(`pipeline`), and the proof that the bundle is the network (`verify`).
"""

from __future__ import annotations

import sys
from types import ModuleType

from circuitome.extract.edges import Pruning
from circuitome.extract.models.network import Network
from circuitome.extract.pipeline import ExtractError, Options, extract
from circuitome.extract.trace.tracing import trace
from circuitome.extract.verify import LayerCheck, verify
from circuitome.extract.wiring import WiringError

__all__ = [
    "ExtractError",
    "LayerCheck",
    "Network",
    "Options",
    "Pruning",
    "WiringError",
    "extract",
    "trace",
    "verify",
]


class _CallablePackage(ModuleType):
    """``circuitome.extract(model)`` and ``circuitome.extract.models.resolve`` are one name: the
    package is called like its function.
    """

    __call__ = staticmethod(extract)


sys.modules[__name__].__class__ = _CallablePackage
