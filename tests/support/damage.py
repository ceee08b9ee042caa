"""A small network and its bundle, to be damaged: what the tests of bad input share."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

__all__ = ["TINY", "fit_manifest"]

TINY = """
from torch import nn

def tiny():
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 3, 1))
"""


def fit_manifest(bundle: Path, name: str, rows: int | None = None) -> None:
    """Let a bundle's manifest tell the truth about a file that was changed."""
    data = (bundle / name).read_bytes()
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"][name] |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    if rows is not None:
        manifest["files"][name]["rows"] = rows
    (bundle / "manifest.json").write_text(json.dumps(manifest))
