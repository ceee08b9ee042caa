"""Which device computes."""

from __future__ import annotations

import torch

from circuitome.errors import CircuitomeError

__all__ = ["DeviceError", "pick_device"]


class DeviceError(CircuitomeError):
    """A device that this machine lacks."""


def pick_device(name: str) -> torch.device:
    """``auto`` (CUDA, else MPS, else CPU), ``cpu``, ``cuda`` (or ``cuda:1``) or ``mps``."""
    have = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if have[kind]))
    kind = name.split(":", maxsplit=1)[0]
    if kind not in have:
        raise DeviceError(f"--device {name}: not a device; one of auto, {', '.join(have)}")
    if not have[kind]:
        raise DeviceError(
            f"--device {name}: this machine has no {kind} that torch can use; take auto or cpu"
        )
    return torch.device(name)
