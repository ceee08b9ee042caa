"""The property graph, declared once: Arrow schemas, database DDL and the docs page derive from it.

Every stored value is a scalar or a list of scalars. A node is found by its ``key``, a readable
string; a relationship by the keys of its ends. Floats are ``DOUBLE`` in the databases; the wide
edge tables keep them as float32 in the bundle, which is what the weights are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Final

from circuitome.errors import CircuitomeError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "ANNOTATION_PARTS",
    "EDGE_TYPES",
    "NODES",
    "PARTS",
    "RELATIONSHIPS",
    "SCHEMA_VERSION",
    "TRANSFORM_GROUPS",
    "AnnotationPart",
    "Column",
    "NodeType",
    "RelationshipType",
    "SchemaError",
    "Type",
    "arrow_schema",
    "made_by",
    "needed_by",
    "parts_done",
    "table_type",
]

SCHEMA_VERSION: Final = 3


class SchemaError(CircuitomeError):
    """A declaration that does not fit the rest of the schema."""


@dataclass(frozen=True, slots=True)
class AnnotationPart:
    """A part of the annotation; the columns and tables that it makes name it as their ``part``."""

    name: str
    doc: str
    """What it finds, for help texts and the docs."""
    needs: tuple[str, ...] = ()
    """Parts that have to be done before it; they are done with it."""


PARTS: Final[dict[str, AnnotationPart]] = {
    part.name: part
    for part in (
        AnnotationPart("responses", "activity on natural-like images, effective fields"),
        AnnotationPart("kinds", "the stimuli that drive each neuron, tuning", ("responses",)),
        AnnotationPart("equivariance", "pairs under a transform, invariance", ("responses",)),
        AnnotationPart("families", "groups of neurons whose pairs compose", ("equivariance",)),
        AnnotationPart("circuits", "weights between families", ("families",)),
        AnnotationPart("signatures", "responses to common pictures", ("responses",)),
    )
}
"""The parts of the annotation, in the order in which they are done."""
ANNOTATION_PARTS: Final = tuple(PARTS)
"""What `Model.annotated` may name, in that order."""

TRANSFORM_GROUPS: Final = ("rotate", "flip_h", "flip_v", "scale", "hue", "hue_rotate", "invert")
"""What `EQUIVARIANT_TO.transform` and `Family.group` may be."""


class Type(Enum):
    """Type of a column, with its name in each place that has names for types."""

    # Arrow, Kuzu's DDL, what Kuzu shows, what Neo4j shows, Neo4j's import tool
    STRING = ("string", "STRING", "STRING", "String", "string")
    INT = ("int64", "INT64", "INT64", "Long", "long")
    FLOAT = ("float64", "DOUBLE", "DOUBLE", "Double", "double")
    FLOAT32 = ("float32", "DOUBLE", "DOUBLE", "Double", "double")
    BOOL = ("bool", "BOOLEAN", "BOOL", "Boolean", "boolean")
    INTS = ("list<int64>", "INT64[]", "INT64[]", "LongArray", "long[]")
    FLOATS = ("list<float64>", "DOUBLE[]", "DOUBLE[]", "DoubleArray", "double[]")
    STRINGS = ("list<string>", "STRING[]", "STRING[]", "StringArray", "string[]")

    @property
    def title(self) -> str:
        """Name of the type for people: Arrow's."""
        return self.value[0]

    @property
    def arrow(self) -> pa.DataType:
        """Arrow type of the column in the bundle's Parquet tables."""
        import pyarrow as pa  # so that the command line can read the schema before it is loaded

        name = self.title
        if name.startswith("list<"):
            return pa.list_(pa.type_for_alias(name[5:-1]))
        return pa.type_for_alias(name)

    @property
    def kuzu(self) -> str:
        """Type name in Kuzu's DDL."""
        return self.value[1]

    @property
    def import_tool(self) -> str:
        """Type name in the headers of ``neo4j-admin database import``."""
        return self.value[4]

    def shown(self, engine: str) -> str:
        """Type name in what an engine (``kuzu`` or ``neo4j``) tells of its properties."""
        return self.value[2 if engine == "kuzu" else 3]


@dataclass(frozen=True, slots=True)
class Column:
    """One property of a node or relationship type."""

    name: str
    type: Type
    doc: str
    indexed: bool = False  # users filter by it, so Neo4j gets an index
    part: str | None = None  # of the annotation that fills it; None: it is there from the start


@dataclass(frozen=True, slots=True)
class NodeType:
    """A node label, found by its ``key``."""

    name: str
    doc: str
    columns: tuple[Column, ...]  # the first one is the key
    part: str | None = None  # of the annotation that makes its rows

    @property
    def key(self) -> Column:
        """The unique key, always the first column."""
        return self.columns[0]


@dataclass(frozen=True, slots=True)
class RelationshipType:
    """A relationship type between two node labels; its tables start with the columns ``from``
    and ``to``.
    """

    name: str
    source: str  # label of the node it leaves
    target: str  # label of the node it enters
    doc: str
    columns: tuple[Column, ...] = ()
    part: str | None = None  # of the annotation that makes its rows


def _key(example: str) -> Column:
    return Column("key", Type.STRING, f"unique, readable: `{example}`")


def _string(name: str, doc: str, *, indexed: bool = False) -> Column:
    return Column(name, Type.STRING, doc, indexed)


def _int(name: str, doc: str) -> Column:
    return Column(name, Type.INT, doc)


def _float(name: str, doc: str, *, indexed: bool = False) -> Column:
    return Column(name, Type.FLOAT, doc, indexed)


def _of(part: str, *columns: Column) -> tuple[Column, ...]:
    """Columns that a part of the annotation fills."""
    return tuple(replace(column, part=part) for column in columns)


_SIGNIFICANCE: Final = (_float("p", "p value"), _float("q", "false discovery rate", indexed=True))

_INVARIANCE: Final = tuple(
    _float(f"invariance_{group}", f"correlation of the response with itself under {what}")
    for group, what in (
        ("rotate", "rotation"),
        ("flip_h", "reflection left to right"),
        ("flip_v", "reflection top to bottom"),
        ("scale", "a change of scale"),
        ("hue", "rotation of hue"),
        ("invert", "black-white inversion"),
    )
)

_NODES: Final = (
    NodeType(
        "Model",
        "A network: one architecture with one set of weights.",
        (
            _key("squeezenet1_1"),
            _string(
                "architecture", "what was named on the command line: torchvision name or factory"
            ),
            _string("weights", "file name of the weights, `DEFAULT`, or `random`"),
            _string("weights_sha256", "SHA-256 of every parameter and buffer, names and bytes"),
            _string("task", "what it was trained for, where known"),
            Column("input_shape", Type.INTS, "channels, height, width"),
            Column("mean", Type.FLOATS, "subtracted from each input channel"),
            Column("std", Type.FLOATS, "each input channel is divided by it"),
            _string(
                "keep",
                "pruning: kept share of each receiver's squared norm or `all`, then `top K` if so",
            ),
            _int("seed", "seed of everything random in the extraction"),
            _string(
                "annotated",
                "parts of the annotation that are done, between commas: "
                f"`{','.join(ANNOTATION_PARTS)}`; null before",
            ),
            *_of("responses", _int("twins", "null networks that the annotation was compared with")),
            *_of(
                "kinds",
                _string(
                    "stimuli_sha256",
                    "SHA-256 of everything that defines the stimuli of the annotation",
                ),
            ),
            *_of(
                "signatures",
                _string(
                    "signatures_sha256",
                    "SHA-256 of everything that defines the stimuli of the response signatures",
                ),
            ),
            _int("schema_version", "version of this schema"),
            _string("state", "`loading` until every table is in the database, then `ready`"),
        ),
    ),
    NodeType(
        "Layer",
        "A set of neurons computed by one operation.",
        (
            _key("squeezenet1_1/features.3.expand3x3"),
            _string("model", "key of its model", indexed=True),
            _string("name", "dotted path as in PyTorch; `path@2` where a module is called again"),
            _string(
                "op", "`input`, `conv`, `linear`, `add`, `gate`, `norm` or `readout`", indexed=True
            ),
            _int("index", "position in the order of computation, from 0"),
            _float(
                "depth", "convolutions and linear layers before it, as a share of the longest chain"
            ),
            _int("channels", "number of neurons"),
            Column("size", Type.INTS, "height and width of its maps, pixels"),
            Column("kernel", Type.INTS, "kernel height and width, pixels"),
            Column("stride", Type.INTS, "vertical, horizontal"),
            Column("padding", Type.INTS, "vertical, horizontal"),
            Column("dilation", Type.INTS, "vertical, horizontal"),
            _int("groups", "groups of a grouped convolution, else 1"),
            Column("receptive_field", Type.INTS, "theoretical, height and width in input pixels"),
            *_of(
                "responses",
                Column(
                    "effective_receptive_field",
                    Type.FLOATS,
                    "measured, height and width in input pixels that hold 90 % of the squared "
                    "gradient",
                ),
            ),
            _float("kept_mass", "share of the squared kernel norm whose edges were kept"),
            _float("banding_ratio", "variance of the signed kernels along y over that along x"),
            _float("banding_p", "p of the ratio against kernels transposed at random"),
            *_of(
                "kinds",
                _float(
                    "explained",
                    "share of its neurons whose `kind` is neither `unexplained` nor `silent`",
                ),
            ),
            *_of(
                "equivariance",
                _float(
                    "equivariant", "share of its neurons with an equivariant partner at q <= 0.05"
                ),
                _float("in_families", "share of its neurons that are members of a computed family"),
                _float(
                    "invariant",
                    "share of its neurons that rotation leaves alone: lowest correlation with "
                    "itself at least 0.707",
                ),
            ),
        ),
    ),
    NodeType(
        "Block",
        "A set of parallel paths that meet in a concatenation or an addition, or a grouped "
        "convolution.",
        (
            _key("squeezenet1_1/features.3"),
            _string("model", "key of its model", indexed=True),
            _string("name", "dotted path of the module that joins the paths"),
            _string("join", "`concat`, `add` or `groups`"),
            _int("branches", "number of parallel paths"),
            _string("parent", "key of the smallest block that it lies in, if any"),
        ),
    ),
    NodeType(
        "Branch",
        "One path of a block, or one group of a grouped convolution.",
        (
            _key("squeezenet1_1/features.3#expand3x3"),
            _string("model", "key of its model", indexed=True),
            _string("block", "key of its block"),
            _string("name", "last layer of the path, within the block"),
            _int("index", "position in the block, from 0"),
            _int("channels", "channels it hands to the block's end"),
        ),
    ),
    NodeType(
        "Neuron",
        "One channel of a layer.",
        (
            _key("squeezenet1_1/features.3.expand3x3:17"),
            _string("model", "key of its model", indexed=True),
            _string("layer", "key of its layer", indexed=True),
            _int("channel", "index in its layer, from 0"),
            _string("op", "its layer's `op`"),
            _string(
                "label",
                "what the channel stands for where known: colour of an input, class of a logit",
            ),
            _float("bias", "folded bias: what is added to the weighted sum"),
            _float("depth", "its layer's depth"),
            _float("fan_in_norm", "L2 norm of all its incoming kernels together"),
            _int("fan_in", "connected senders before pruning (all-zero kernels do not connect)"),
            _int("dropped", "incoming edges that pruning removed"),
            _float("kept_mass", "share of its squared fan-in norm that the kept edges hold"),
            *_of(
                "responses",
                _float("mean_response", "mean over natural-like images, activation units"),
                _float(
                    "sd_response", "standard deviation over natural-like images, activation units"
                ),
                _float("max_response", "maximum over natural-like images, activation units"),
                _float("sparsity", "share of positions where it is silent"),
            ),
            *_of(
                "kinds",
                _string(
                    "kind",
                    "best-explaining stimulus, `unexplained`, or `silent`",
                    indexed=True,
                ),
                _string("runner_up", "second-best stimulus"),
                _float("orientation_deg", "preferred orientation, degrees"),
                _float("frequency", "preferred spatial frequency, cycles per pixel"),
                _float("hue_deg", "preferred hue, degrees"),
                _float("radius_px", "preferred radius, pixels"),
                _float(
                    "selectivity", "how sharply it is tuned along the main axis of its kind, 0 to 1"
                ),
                _float("selectivity_sd", "standard error of that"),
                _string(
                    "tuned_to", "axis of its tuning curve, such as `curve: orientation, degrees`"
                ),
                Column("tuning_at", Type.FLOATS, "places on that axis"),
                Column("tuning", Type.FLOATS, "mean responses there, activation units"),
                Column(
                    "top_stimuli",
                    Type.STRINGS,
                    "the stimuli that drive it most, described in words, strongest first",
                ),
                _float(
                    "explained",
                    "share of its variance that its best-explaining stimulus explains",
                ),
                *_SIGNIFICANCE,
            ),
            *_of("equivariance", *_INVARIANCE),
            _float("superposition", "degree of superposition"),
            *_of(
                "signatures",
                _float(
                    "reliability",
                    "correlation of its response signature with itself over the same pictures, "
                    "a little displaced",
                ),
            ),
        ),
    ),
    NodeType(
        "Family",
        "Neurons that are one feature up to a transformation.",
        (
            _key("squeezenet1_1/features.0/f3"),
            _string("model", "key of its model", indexed=True),
            _string("layer", "key of its layer", indexed=True),
            _string("name", "title, for curated families"),
            _string("group", "transform group"),
            _int("size", "number of members"),
            _float("closure", "share of triangles of members whose transforms compose"),
            _float("score", "mean score of its pairs"),
            *_SIGNIFICANCE,
            _string("source", "`computed` or `curated`"),
            Column("gaps", Type.FLOATS, "places where a member is missing, degrees"),
        ),
        part="families",
    ),
    NodeType(
        "Feature",
        "A feature found in several models: an entry of the periodic table.",
        (
            _key("u17"),
            _string("name", "title"),
            _string("kind", "kind of its members", indexed=True),
            _string("family", "transform group of the families that its members belong to"),
            _int("models", "number of models"),
            _int("size", "number of neurons"),
            _float("depth", "median relative depth of its members"),
            _float("score", "mean match of its members"),
            _string("source", "`computed` or `curated`"),
            Column(
                "addresses",
                Type.STRINGS,
                "where it was published, `network layer:unit`, for curated features",
            ),
            Column("depths", Type.FLOATS, "relative depth of each address"),
        ),
    ),
    NodeType(
        "MotifKind",
        "A kind of circuit motif.",
        (
            _key("unioning_over_cases"),
            _string("title", "title"),
            _string("definition", "when it is there"),
            _string("source", "paper or article"),
        ),
    ),
    NodeType(
        "Motif",
        "One found instance of a motif.",
        (
            _key("3f9a..."),
            _string("model", "key of its model", indexed=True),
            _string("kind", "key of its motif kind", indexed=True),
            _float("score", "score", indexed=True),
            *_SIGNIFICANCE,
            _string("null", "null model of `p` and `q`"),
            _string("parameters", "parameters of the search, as JSON"),
            Column("roles", Type.STRINGS, "role of each of `members`, in order"),
            Column(
                "members",
                Type.STRINGS,
                "keys of what plays a part: neurons, layers, families, branches",
            ),
        ),
    ),
)


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

_RELATIONSHIPS: Final = (
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
        (_string("via", "what the gate passes on its way"),),
    ),
    RelationshipType(
        "EQUIVARIANT_TO",
        "Neuron",
        "Neuron",
        "The second is the first, transformed; stored once, from the lower to the higher channel.",
        (
            _string("transform", " or ".join(f"`{group}`" for group in TRANSFORM_GROUPS)),
            _float("amount", "degrees or octaves"),
            _float("turn", "of `hue_rotate`: the rotation that goes with the hue, degrees"),
            _float("score", "correlation of responses", indexed=True),
            _float(
                "baseline", "the best of the correlations without the pair or without the transform"
            ),
            *_SIGNIFICANCE,
            _string("evidence", "`responses` or `weights`"),
        ),
        part="equivariance",
    ),
    RelationshipType(
        "MEMBER_OF",
        "Neuron",
        "Family",
        "Membership with the member's place in the family.",
        (_float("offset", "degrees, octaves or parity"), _float("offset_sd", "its standard error")),
        part="families",
    ),
    RelationshipType(
        "FEEDS",
        "Family",
        "Family",
        "An equivariant circuit: weights that depend on the relative offset alone.",
        (
            _string("circuit_class", "`e->e`, `i->e` or `e->i`"),
            _float("r2", "variance of the weights that the offset explains"),
            *_SIGNIFICANCE,
            _string("null", "null model of `p` and `q`"),
            _float("compression", "weights over free parameters"),
            _int("pairs", "pairs of members that the weights are between"),
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
            _int("observed", "members in the branch"),
            _float("expected", "by chance"),
            *_SIGNIFICANCE,
        ),
    ),
    RelationshipType(
        "ENRICHED_IN",
        "MotifKind",
        "Model",
        "How often a motif occurs, against a null that keeps the topology.",
        (
            _int("instances", "found"),
            _float("p", "p value"),
            _string("null", "null model"),
            _int("nulls", "number of null networks"),
            _float("null_mean", "mean count on null networks"),
            _float("null_sd", "standard deviation of that"),
            _float("strongest", "highest score"),
            _float("q", "least q of an instance"),
            _string("q_null", "null model of that"),
            _int("seed", "seed of the null networks"),
            _string("parameters", "parameters of the search, as JSON"),
        ),
    ),
    RelationshipType(
        "ANALOGOUS_TO",
        "Neuron",
        "Neuron",
        "The best match in another model.",
        (
            _float("score", "correlation of response signatures", indexed=True),
            Column("mutual", Type.BOOL, "each is the other's best match"),
            *_SIGNIFICANCE,
            _string("null", "null model of `p` and `q`"),
            _float(
                "share", "score over what is possible: the geometric mean of both reliabilities"
            ),
            _float("depth_from", "relative depth of the first"),
            _float("depth_to", "relative depth of the second"),
            _float(
                "field_from", "theoretical receptive field of the first, its height in input pixels"
            ),
            _float("field_to", "the same of the second"),
        ),
    ),
    RelationshipType(
        "READ_OUT_OF",
        "Neuron",
        "Layer",
        "How well a linear read-out of another model's layer predicts the neuron.",
        (
            _float("r2", "cross-validated R2 of ridge regression"),
            _float("null_r2", "mean R2 from the same layer of twins"),
            *_SIGNIFICANCE,
            _string("null", "null model of `p` and `q`"),
        ),
    ),
    RelationshipType(
        "ALIGNED_WITH",
        "Layer",
        "Layer",
        "How alike two layers of different models are.",
        (
            _float(
                "mutual_share",
                "mutual best matches of the whole networks that fall between the two, over the "
                "smaller's neurons",
            ),
            _float("cka", "linear centred kernel alignment of their response signatures"),
            _float("score", "median best match of the first's neurons in the second"),
            _float(
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
            _string("senders", "key of the layer that the edges come from"),
            _int("edges", "strong edges whose ends both have an analogue"),
            _int(
                "preserved",
                "those that the other model has with the same sign and comparable strength",
            ),
            _float("expected", "mean of that over rewired copies"),
            _float("sd", "its standard deviation"),
            _float("p", "p value"),
            _string("null", "null model of `p`"),
        ),
    ),
    RelationshipType(
        "INSTANCE_OF",
        "Neuron",
        "Feature",
        "An occurrence of a universal feature.",
        (_float("score", "mean match"),),
    ),
    RelationshipType("OF_KIND", "Motif", "MotifKind", "Kind of a motif instance."),
    RelationshipType(
        "HAS_ROLE",
        "Motif",
        "Neuron",
        "A neuron's part in a motif instance.",
        (
            _string("role", "such as `union`, `case`, `source`"),
            _int("position", "order among neurons of one role"),
        ),
    ),
    RelationshipType(
        "IN_BLOCK",
        "Neuron",
        "Block",
        "A neuron may be in several blocks.",
        (
            _int(
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
            _string("through", "operations on the way, such as `relu,max_pool`"),
            Column(
                "linearised",
                Type.BOOL,
                "whether the edges take a nonlinear step for linear (a plain ReLU is not counted)",
            ),
            _int("edges", "edges between them that were kept"),
            _int("dropped", "edges between them that pruning removed"),
            _float("kept_mass", "share of their squared kernel norm whose edges were kept"),
        ),
    ),
)

NODES: Final[dict[str, NodeType]] = {node.name: node for node in _NODES}
RELATIONSHIPS: Final[dict[str, RelationshipType]] = {rel.name: rel for rel in _RELATIONSHIPS}
EDGE_TYPES: Final = ("EXCITES", "INHIBITS")


def table_type(name: str) -> NodeType | RelationshipType:
    """Declaration of a node or relationship table by its name; `KeyError` for others."""
    return NODES[name] if name in NODES else RELATIONSHIPS[name]


def arrow_schema(name: str) -> pa.Schema:
    """Arrow schema of a bundle table: the columns, after ``from`` and ``to`` for a relationship.

    >>> arrow_schema("IN_BLOCK").names
    ['from', 'to', 'channel']
    """
    import pyarrow as pa

    kind = table_type(name)
    ends = (
        []
        if isinstance(kind, NodeType)
        else [pa.field("from", pa.string()), pa.field("to", pa.string())]
    )
    return pa.schema(ends + [pa.field(column.name, column.type.arrow) for column in kind.columns])


def parts_done(model: Mapping[str, object]) -> tuple[str, ...]:
    """The parts of the annotation that a row of `Model` names.

    >>> parts_done({"annotated": "responses,kinds"}), parts_done({"annotated": None})
    (('responses', 'kinds'), ())
    """
    return tuple(part for part in str(model.get("annotated") or "").split(",") if part)


def needed_by(part: str) -> frozenset[str]:
    """The parts of the annotation that have to be done before one, those that they need included.

    Raises:
        SchemaError: there is no such part, or one that is needed is none.

    >>> sorted(needed_by("circuits"))
    ['equivariance', 'families', 'responses']
    """
    if part not in PARTS:
        raise SchemaError(f"no part {part!r} of the annotation; choose from {', '.join(PARTS)}")
    needs = PARTS[part].needs
    return frozenset(needs).union(*map(needed_by, needs))


def made_by(part: str) -> dict[str, tuple[str, ...]]:
    """What a part of the annotation makes: table -> its columns, of a whole table all of them.

    Raises:
        SchemaError: there is no such part, or no column and no table names it.

    >>> made_by("signatures")
    {'Model': ('signatures_sha256',), 'Neuron': ('reliability',)}
    """
    if part not in PARTS:
        raise SchemaError(f"no part {part!r} of the annotation; choose from {', '.join(PARTS)}")
    columns = {kind.name: tuple(_columns_of(part, kind)) for kind in _tables()}
    made = {table: names for table, names in columns.items() if names}
    if not made:
        raise SchemaError(
            f"the part {part!r} of the annotation makes nothing; name it at a column or a table"
        )
    return made


def _tables() -> Iterator[NodeType | RelationshipType]:
    yield from NODES.values()
    yield from RELATIONSHIPS.values()


def _columns_of(part: str, kind: NodeType | RelationshipType) -> Iterator[str]:
    for column in kind.columns:
        if part == (column.part or kind.part):
            yield column.name
