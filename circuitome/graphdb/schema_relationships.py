"""The relationship types of the graph."""

from __future__ import annotations

from typing import Final

from circuitome.graphdb.schema_types import (
    SIGNIFICANCE,
    Column,
    RelationshipType,
    Type,
    floating,
    integer,
    string,
)
from circuitome.vocabulary import GROUPS

__all__ = ["RELATIONSHIP_TYPES", "TRANSFORM_GROUPS"]

TRANSFORM_GROUPS: Final = GROUPS
"""What `EQUIVARIANT_TO.transform` and `Family.group` may be."""


def _edge(name: str, doc: str, type: Type = Type.FLOAT32, *, indexed: bool = False) -> Column:
    return Column(name, type, doc, indexed)


_CORE_EDGE: Final = (
    _edge("weight", "signed sum of the kernel"),
    _edge("excitation", "sum of the kernel's positive part; inhibition is excitation - weight"),
)
_SHARE: Final = (
    _edge("share", "share of the receiver's squared fan-in norm", indexed=True),
    _edge("rank", "rank by share in the receiver's fan-in, from 1", Type.INT),
)
_SIGNED_EDGE: Final = (
    *_CORE_EDGE,
    _edge("polarity", "(excitation - inhibition) / (excitation + inhibition), -1 to 1"),
    *_SHARE,
    _edge("ex", "centre of the positive part, pixels right of the kernel's centre"),
    _edge("ey", "centre of the positive part, pixels below the kernel's centre"),
    _edge("ix", "centre of the negative part, pixels right of the kernel's centre"),
    _edge("iy", "centre of the negative part, pixels below the kernel's centre"),
    _edge("kernel", "row in the bundle's kernel array", Type.INT),
)

RELATIONSHIP_TYPES: Final = (
    RelationshipType(
        "EXCITES",
        "Neuron",
        "Neuron",
        "Its kernel sums to more than zero, or to exactly zero.",
        _SIGNED_EDGE,
    ),
    RelationshipType(
        "INHIBITS", "Neuron", "Neuron", "Its kernel sums to less than zero.", _SIGNED_EDGE
    ),
    RelationshipType(
        "EXPANDED",
        "Neuron",
        "Neuron",
        "A weight multiplied out over what lies between.",
        (
            *_CORE_EDGE,
            *_SHARE,
            _edge("hops", "edges of the longest path multiplied out", Type.INT),
            _edge(
                "linearised", "whether a nonlinearity on the way was taken for linear", Type.BOOL
            ),
            _edge("cancellation", "|sum of paths| / sum of |paths|: near 0 the paths cancel"),
        ),
    ),
    RelationshipType(
        "GATES",
        "Neuron",
        "Neuron",
        "A multiplicative input: the sender scales the receiver.",
        (string("via", "what the gate passes on its way"),),
    ),
    RelationshipType(
        "EQUIVARIANT_TO",
        "Neuron",
        "Neuron",
        "The second is the first, transformed; stored once, from the lower to the higher channel.",
        (
            string("transform", " or ".join(f"`{group}`" for group in TRANSFORM_GROUPS)),
            floating("amount", "degrees or octaves"),
            floating("turn", "of `hue_rotate`: the rotation that goes with the hue, degrees"),
            floating("score", "correlation of responses", indexed=True),
            floating(
                "baseline", "the best of the correlations without the pair or without the transform"
            ),
            *SIGNIFICANCE,
            string("evidence", "`responses` or `weights`"),
        ),
        part="equivariance",
    ),
    RelationshipType(
        "MEMBER_OF",
        "Neuron",
        "Family",
        "Membership with the member's place in the family.",
        (
            floating("offset", "degrees, octaves or parity"),
            floating("offset_sd", "its standard error"),
        ),
        part="families",
    ),
    RelationshipType(
        "FEEDS",
        "Family",
        "Family",
        "An equivariant circuit: weights that depend on the relative offset alone.",
        (
            string("circuit_class", "`e->e`, `i->e` or `e->i`"),
            floating("r2", "variance of the weights that the offset explains"),
            *SIGNIFICANCE,
            string("null", "null model of `p` and `q`"),
            floating("compression", "weights over free parameters"),
            integer("pairs", "pairs of members that the weights are between"),
            Column("offsets", Type.FLOATS, "relative offsets of the template, degrees or octaves"),
            Column(
                "template",
                Type.FLOATS,
                "mean weight at each of them, in units of the receivers' root mean square",
            ),
        ),
        part="circuits",
    ),
    RelationshipType(
        "CONCENTRATED_IN",
        "Family",
        "Branch",
        "More members in one branch than chance puts there.",
        (
            integer("observed", "members in the branch"),
            floating("expected", "by chance"),
            *SIGNIFICANCE,
        ),
    ),
    RelationshipType(
        "ENRICHED_IN",
        "MotifKind",
        "Model",
        "How often a motif occurs, against a null that keeps the topology.",
        (
            integer("instances", "found"),
            floating("p", "p value"),
            string("null", "null model"),
            integer("nulls", "number of null networks"),
            floating("null_mean", "mean count on null networks"),
            floating("null_sd", "standard deviation of that"),
            floating("strongest", "highest score"),
            floating("q", "least q of an instance"),
            string("q_null", "null model of that"),
            integer("seed", "seed of the null networks"),
            string("parameters", "parameters of the search, as JSON"),
        ),
    ),
    RelationshipType(
        "ANALOGOUS_TO",
        "Neuron",
        "Neuron",
        "The best match in another model.",
        (
            floating("score", "correlation of response signatures", indexed=True),
            Column("mutual", Type.BOOL, "each is the other's best match"),
            *SIGNIFICANCE,
            string("null", "null model of `p` and `q`"),
            floating(
                "share", "score over what is possible: the geometric mean of both reliabilities"
            ),
            floating("depth_from", "relative depth of the first"),
            floating("depth_to", "relative depth of the second"),
            floating(
                "field_from", "theoretical receptive field of the first, its height in input pixels"
            ),
            floating("field_to", "the same of the second"),
        ),
    ),
    RelationshipType(
        "READ_OUT_OF",
        "Neuron",
        "Layer",
        "How well a linear read-out of another model's layer predicts the neuron.",
        (
            floating("r2", "cross-validated R2 of ridge regression"),
            floating("null_r2", "mean R2 from the same layer of twins"),
            *SIGNIFICANCE,
            string("null", "null model of `p` and `q`"),
        ),
    ),
    RelationshipType(
        "ALIGNED_WITH",
        "Layer",
        "Layer",
        "How alike two layers of different models are.",
        (
            floating(
                "mutual_share",
                "mutual best matches of the whole networks that fall between the two, over the "
                "smaller's neurons",
            ),
            floating("cka", "linear centred kernel alignment of their response signatures"),
            floating("score", "median best match of the first's neurons in the second"),
            floating(
                "auc",
                "chance that a neuron's best match beats that of a neuron of a twin of the "
                "first's network",
            ),
        ),
    ),
    RelationshipType(
        "PRESERVED_IN",
        "Layer",
        "Model",
        "Strong edges into a layer whose ends have analogues that another model joins alike.",
        (
            string("senders", "key of the layer that the edges come from"),
            integer("edges", "strong edges whose ends both have an analogue"),
            integer(
                "preserved",
                "those that the other model has with the same sign and comparable strength",
            ),
            floating("expected", "mean of that over rewired copies"),
            floating("sd", "its standard deviation"),
            floating("p", "p value"),
            string("null", "null model of `p`"),
        ),
    ),
    RelationshipType(
        "INSTANCE_OF",
        "Neuron",
        "Feature",
        "An occurrence of a universal feature.",
        (floating("score", "mean match"),),
    ),
    RelationshipType("OF_KIND", "Motif", "MotifKind", "Kind of a motif instance."),
    RelationshipType(
        "HAS_ROLE",
        "Motif",
        "Neuron",
        "A neuron's part in a motif instance.",
        (
            string("role", "such as `union`, `case`, `source`"),
            integer("position", "order among neurons of one role"),
        ),
    ),
    RelationshipType(
        "IN_BLOCK",
        "Neuron",
        "Block",
        "A neuron may be in several blocks.",
        (
            integer(
                "channel", "index after concatenation or addition; none for neurons inside a branch"
            ),
        ),
    ),
    RelationshipType("IN_LAYER", "Neuron", "Layer", "Its layer."),
    RelationshipType("IN_BRANCH", "Neuron", "Branch", "A path that it lies on."),
    RelationshipType("OF_MODEL", "Layer", "Model", "Its model."),
    RelationshipType(
        "NEXT",
        "Layer",
        "Layer",
        "The second reads the first.",
        (
            string("through", "operations on the way, such as `relu,max_pool`"),
            Column(
                "linearised",
                Type.BOOL,
                "whether the edges take a nonlinear step for linear (a plain ReLU is not counted)",
            ),
            integer("edges", "edges between them that were kept"),
            integer("dropped", "edges between them that pruning removed"),
            floating("kept_mass", "share of their squared kernel norm whose edges were kept"),
        ),
    ),
)
