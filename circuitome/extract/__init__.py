"""Weights and activations in, tables out: the only part that computes with torch.

The ground floor looks at no image: model -> wiring (`trace`) -> edges (`edges`) -> bundle (`pipeline`), and the
proof that the bundle is the network (`verify`).
"""

from __future__ import annotations

from circuitome.extract.pipeline import ExtractError, extract
from circuitome.extract.trace import WiringError, trace
from circuitome.extract.verify import LayerCheck, verify

__all__ = ["ExtractError", "LayerCheck", "WiringError", "extract", "trace", "verify"]
