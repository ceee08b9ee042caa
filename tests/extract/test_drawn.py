"""What is drawn is held to a sample of its pixels, so that its name changes with it.

Bundles are compared by these names: signatures by `gallery.COMMON`, stimuli by `catalogue.DRAWING`.
``python -m tests.extract.test_drawn`` renews the sample after a change that was meant.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from circuitome.extract.stimuli import catalogue as catalogues
from circuitome.extract.stimuli import gallery as galleries
from circuitome.extract.stimuli.catalogue import STIMULI, catalogue
from circuitome.extract.stimuli.gallery import gallery

DRAWN = Path(__file__).with_name("drawn.npz")
"""Every stimulus and some pictures of the gallery, as `DRAWING` and `COMMON` name them."""


def drawn_stimuli() -> dict[str, np.ndarray]:
    """Two trials of every stimulus, ``(2, 3, 24, 24)`` levels of 255."""
    found = {}
    for name in STIMULI:
        trials = catalogue(24, 10.0, seed=0, stimuli=[name])
        images = torch.cat([trials.draw(0, 1), trials.draw(len(trials) - 1, len(trials))])
        found[f"{name} {catalogues.DRAWING}"] = images.mul(255).numpy()
    return found


def drawn_pictures() -> dict[str, np.ndarray]:
    """A picture of each sort of the gallery, every eighth pixel, and the cells that are read."""
    with pytest.MonkeyPatch.context() as few:
        few.setattr(galleries, "SCENES", 1)
        few.setattr(galleries, "RANDOM", tuple((1, part) for _, part in galleries.RANDOM))
        few.setattr(galleries, "MOSAICS", tuple((1, along) for _, along in galleries.MOSAICS))
        galleries._own.cache_clear()
        shown = gallery()
    galleries._own.cache_clear()
    name = galleries.COMMON[:16]
    numbers = [galleries.SCENES, galleries.CELLS, galleries.GRID, galleries.SHIFT]
    counts = [*galleries.RANDOM, *galleries.MOSAICS]
    return {
        f"pictures {name}": shown.pictures[:, :, ::8, ::8].astype(np.float32),
        f"displaced {name}": shown.draw(np.arange(2), (28, 28), displaced=True).mul(255).numpy(),
        f"cells {name}": shown.cells,
        f"numbers {name}": np.array([*numbers, *np.ravel(counts)]),
    }


@pytest.mark.parametrize("draw", [drawn_stimuli, drawn_pictures])
def test_what_is_drawn_has_another_name_if_its_pixels_change(draw: Callable) -> None:
    """Another ``DRAWING`` or ``COMMON`` is needed then: ``python -m tests.extract.test_drawn``."""
    found = draw()
    with np.load(DRAWN) as known:
        assert found.keys() <= set(known.files), "renew the sample: python -m " + __name__
        for name, values in found.items():
            assert np.abs(values - known[name].astype(np.float32)).max() <= 1, name


if __name__ == "__main__":
    sample = drawn_stimuli() | drawn_pictures()
    whole = {name: np.rint(values).astype(np.int16) for name, values in sample.items()}
    np.savez_compressed(DRAWN, allow_pickle=False, **whole)
