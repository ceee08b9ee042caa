"""Every claim of the thread that its published facts can test, and those that they cannot.

A check is a small function from `Evidence` to `Finding`s; one module an article. What the graph
holds (families, branches, edges, tuning) is asked of the database through the queries of the
library; what is no graph (filters, banding ratios, kernels of later layers, factors over several
neurons, the hand-written network) is read from the facts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from circuitome.graphdb.bundle import Bundle
from circuitome.queries.database import Database
from circuitome.thread.banding import banding
from circuitome.thread.branches import all_pairs, black_and_white, curve_features
from circuitome.thread.curves import (
    curves_by_angle,
    echoes,
    hand_written,
    named_curve_pairs,
    preferred_angles,
)
from circuitome.thread.equivariance import circles_and_evolutes, contrast_to_centre
from circuitome.thread.evidence import Evidence, Finding, cannot_be_checked
from circuitome.thread.features import early_vision, first_layer
from circuitome.thread.ground_truth import GroundTruth
from circuitome.thread.high_low import (
    high_low_branch,
    high_low_depth,
    high_low_inputs,
    high_low_readers,
)
from circuitome.thread.zoom_in import car, dog_heads

__all__ = ["CHECKS", "Check", "check_thread"]

Check = Callable[[Evidence], Iterator[Finding]]


_MISSING: Final = (
    cannot_be_checked(
        "cars in superposition: 4c:447 spreads over 4d:241, 277, 417",
        "Zoom In",
        published="drawn, without numbers",
        needs="no kernel of mixed4c -> mixed4d is published",
    ),
    cannot_be_checked(
        "4e:55 is polysemantic: cats' faces, fronts of cars, cats' legs",
        "Zoom In",
        published="example images",
        needs="neither its weights nor its activations are published",
    ),
    cannot_be_checked(
        "curves and high-low frequencies occur in five networks",
        "Zoom In",
        published="anecdotal, as it says itself",
        needs="units are listed; neither weights nor activations are published",
    ),
    cannot_be_checked(
        "complex Gabors unite Gabors of conv2d0",
        "Early Vision",
        published="inputs with 30 % of the largest weight or more",
        needs="the units are published, the weights are not",
    ),
    cannot_be_checked(
        "curve detectors fire where people see curves",
        "Curve Detectors",
        published="about 850 images labelled by hand",
        needs="histograms are published, images and their labels are not",
    ),
    cannot_be_checked(
        "more than 50,000 parameters, 10 to 20 times fewer by rotation",
        "Curve Circuits",
        published="50,000; 10-20 x; 50 x with scale and hue",
        needs="needs all kernels up to mixed3b",
    ),
    cannot_be_checked(
        "without the curve detectors fewer images are named",
        "Curve Circuits",
        published="top-5 88.6 % -> 86.3 %, hand-written 87.6 %",
        needs="needs the network and 2,000 images of ImageNet",
    ),
    cannot_be_checked(
        "singular vectors of the first weights: colour, then frequency",
        "Branch Specialization",
        published="two networks, ImageNet and Places",
        needs="weights of these networks are not published",
    ),
)


def missing(evidence: Evidence) -> Iterator[Finding]:
    """Claims that need more than what was published, whatever the facts hold."""
    yield from _MISSING


CHECKS: Final[tuple[Check, ...]] = (
    *(early_vision, first_layer),
    *(black_and_white, curve_features, all_pairs),
    *(preferred_angles, echoes),
    *(curves_by_angle, named_curve_pairs, hand_written),
    *(circles_and_evolutes, contrast_to_centre),
    *(high_low_branch, high_low_inputs, high_low_readers, high_low_depth),
    *(car, dog_heads),
    banding,
    missing,
)


def check_thread(truth: GroundTruth, bundle: Bundle, *, database: Database) -> list[Finding]:
    """Every finding, in the order of the table.

    Args:
        truth: the published facts.
        bundle: of `circuitome.thread.inception.write_inception`.
        database: holds that bundle.

    Raises:
        GroundTruthError: a file of the facts is damaged.
        QueryError: the database does not hold the bundle.
    """
    evidence = Evidence(truth, bundle, database)
    return [finding for check in CHECKS for finding in check(evidence)]
