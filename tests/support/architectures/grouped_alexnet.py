"""AlexNet in two towers, as it was trained on two cards: Krizhevsky, Sutskever and Hinton, 2012."""

from __future__ import annotations

from torch import nn

__all__ = ["grouped_alexnet"]


def grouped_alexnet() -> nn.Module:
    """Convolutions 2, 4 and 5 read only their own tower: two groups."""
    return nn.Sequential(
        nn.Conv2d(3, 96, 11, stride=4),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(96, 256, 5, padding=2, groups=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(256, 384, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(384, 384, 3, padding=1, groups=2),
        nn.ReLU(inplace=True),
        nn.Conv2d(384, 256, 3, padding=1, groups=2),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(1024, 64),
        nn.ReLU(inplace=True),
        nn.Linear(64, 10),
    )
