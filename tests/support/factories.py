"""Files with factories of networks, as a person has them."""

from __future__ import annotations

__all__ = ["TINY"]

TINY = """
from torch import nn

def tiny():
    first = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()]
    return nn.Sequential(*first, nn.Conv2d(8, 3, 1))
"""
