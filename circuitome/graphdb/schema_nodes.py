"""The node types of the graph."""

from __future__ import annotations

from typing import Final

from circuitome.graphdb.schema_parts import ANNOTATION_PARTS
from circuitome.graphdb.schema_types import (
    SIGNIFICANCE,
    Column,
    NodeType,
    Type,
    filled_by,
    floating,
    integer,
    key,
    string,
)

__all__ = ["NODE_TYPES"]

_INVARIANCE: Final = tuple(
    floating(f"invariance_{group}", f"correlation of the response with itself under {what}")
    for group, what in (
        ("rotate", "rotation"),
        ("flip_h", "reflection left to right"),
        ("flip_v", "reflection top to bottom"),
        ("scale", "a change of scale"),
        ("hue", "rotation of hue"),
        ("invert", "black-white inversion"),
    )
)

NODE_TYPES: Final = (
    NodeType(
        "Model",
        "A network: one architecture with one set of weights.",
        (
            key("squeezenet1_1"),
            string(
                "architecture", "what was named on the command line: torchvision name or factory"
            ),
            string("weights", "file name of the weights, `DEFAULT`, or `random`"),
            string("weights_sha256", "SHA-256 of every parameter and buffer, names and bytes"),
            string("task", "what it was trained for, where known"),
            Column(
                "input_shape",
                Type.INTS,
                "channels, then depth, height, width as far as it has them",
            ),
            Column("mean", Type.FLOATS, "subtracted from each input channel"),
            Column("std", Type.FLOATS, "each input channel is divided by it"),
            string(
                "keep",
                "pruning: kept share of each receiver's squared norm or `all`, then `top K` if so, "
                "then `share X` if `load` left out edges of a smaller share",
            ),
            integer("seed", "seed of everything random in the extraction"),
            string(
                "annotated",
                "parts of the annotation that are done, between commas: "
                f"`{','.join(ANNOTATION_PARTS)}`; null before",
            ),
            *filled_by(
                "responses", integer("twins", "null networks that the annotation was compared with")
            ),
            *filled_by(
                "kinds",
                string(
                    "stimuli_sha256",
                    "SHA-256 of everything that defines the stimuli of the annotation",
                ),
            ),
            *filled_by(
                "signatures",
                string(
                    "signatures_sha256",
                    "SHA-256 of everything that defines the stimuli of the response signatures",
                ),
            ),
            integer("schema_version", "version of this schema"),
            string("state", "`loading` until every table is in the database, then `ready`"),
        ),
    ),
    NodeType(
        "Layer",
        "A set of neurons computed by one operation.",
        (
            key("squeezenet1_1/features.3.expand3x3"),
            string("model", "key of its model", indexed=True),
            string("name", "dotted path as in PyTorch; `path@2` where a module is called again"),
            string(
                "op",
                "`input`, `constant`, `conv`, `linear`, `add`, `gate`, `max`, `norm` or `readout`",
                indexed=True,
            ),
            integer("index", "position in the order of computation, from 0"),
            floating(
                "depth", "convolutions and linear layers before it, as a share of the longest chain"
            ),
            integer("channels", "number of neurons"),
            Column(
                "size", Type.INTS, "height and width of its maps, pixels; of volumes depth first"
            ),
            Column("kernel", Type.INTS, "kernel height and width, pixels; of volumes depth first"),
            Column("stride", Type.INTS, "vertical, horizontal; of volumes along the depth first"),
            Column("padding", Type.INTS, "as `stride`"),
            Column("dilation", Type.INTS, "as `stride`"),
            integer("groups", "groups of a grouped convolution, else 1"),
            Column("receptive_field", Type.INTS, "theoretical, as `size`, in input pixels"),
            *filled_by(
                "responses",
                Column(
                    "effective_receptive_field",
                    Type.FLOATS,
                    "measured, height and width in input pixels that hold 90 % of the squared "
                    "gradient",
                ),
            ),
            floating("kept_mass", "share of the squared kernel norm whose edges were kept"),
            floating("banding_ratio", "variance of the signed kernels along y over that along x"),
            floating("banding_p", "p of the ratio against kernels transposed at random"),
            *filled_by(
                "kinds",
                floating(
                    "explained",
                    "share of its neurons whose `kind` is neither `unexplained` nor `silent`",
                ),
            ),
            *filled_by(
                "equivariance",
                floating(
                    "equivariant", "share of its neurons with an equivariant partner at q <= 0.05"
                ),
                floating(
                    "in_families", "share of its neurons that are members of a computed family"
                ),
                floating(
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
            key("squeezenet1_1/features.3"),
            string("model", "key of its model", indexed=True),
            string("name", "dotted path of the module that joins the paths"),
            string("join", "`concat`, `add` or `groups`"),
            integer("branches", "number of parallel paths"),
            string("parent", "key of the smallest block that it lies in, if any"),
        ),
    ),
    NodeType(
        "Branch",
        "One path of a block, or one group of a grouped convolution.",
        (
            key("squeezenet1_1/features.3#expand3x3"),
            string("model", "key of its model", indexed=True),
            string("block", "key of its block"),
            string("name", "last layer of the path, within the block"),
            integer("index", "position in the block, from 0"),
            integer("channels", "channels it hands to the block's end"),
        ),
    ),
    NodeType(
        "Neuron",
        "One channel of a layer.",
        (
            key("squeezenet1_1/features.3.expand3x3:17"),
            string("model", "key of its model", indexed=True),
            string("layer", "key of its layer", indexed=True),
            integer("channel", "index in its layer, from 0"),
            string("op", "its layer's `op`"),
            string(
                "label",
                "what the channel stands for where known: colour of an input, class of a logit",
            ),
            floating("bias", "folded bias: what is added to the weighted sum"),
            floating("depth", "its layer's depth"),
            floating("fan_in_norm", "L2 norm of all its incoming kernels together"),
            integer("fan_in", "connected senders before pruning (all-zero kernels do not connect)"),
            integer("dropped", "incoming edges that pruning removed"),
            floating("kept_mass", "share of its squared fan-in norm that the kept edges hold"),
            *filled_by(
                "responses",
                floating("mean_response", "mean over natural-like images, activation units"),
                floating(
                    "sd_response", "standard deviation over natural-like images, activation units"
                ),
                floating("max_response", "maximum over natural-like images, activation units"),
                floating("sparsity", "share of positions where it is silent"),
            ),
            *filled_by(
                "kinds",
                string(
                    "kind",
                    "best-explaining stimulus, `unexplained`, or `silent`",
                    indexed=True,
                ),
                string("runner_up", "second-best stimulus"),
                floating("orientation_deg", "preferred orientation, degrees"),
                floating("frequency", "preferred spatial frequency, cycles per pixel"),
                floating("hue_deg", "preferred hue, degrees"),
                floating("radius_px", "preferred radius, pixels"),
                floating(
                    "selectivity", "how sharply it is tuned along the main axis of its kind, 0 to 1"
                ),
                floating("selectivity_sd", "standard error of that"),
                string(
                    "tuned_to", "axis of its tuning curve, such as `curve: orientation, degrees`"
                ),
                Column("tuning_at", Type.FLOATS, "places on that axis"),
                Column("tuning", Type.FLOATS, "mean responses there, activation units"),
                Column(
                    "top_stimuli",
                    Type.STRINGS,
                    "the stimuli that drive it most, described in words, strongest first",
                ),
                floating(
                    "explained",
                    "share of its variance that its best-explaining stimulus explains",
                ),
                *SIGNIFICANCE,
            ),
            *filled_by("equivariance", *_INVARIANCE),
            floating("superposition", "degree of superposition"),
            *filled_by(
                "signatures",
                floating(
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
            key("squeezenet1_1/features.0/f3"),
            string("model", "key of its model", indexed=True),
            string("layer", "key of its layer", indexed=True),
            string("name", "title, for curated families"),
            string("group", "transform group"),
            integer("size", "number of members"),
            floating("closure", "share of triangles of members whose transforms compose"),
            floating("score", "mean score of its pairs"),
            *SIGNIFICANCE,
            string("source", "`computed` or `curated`"),
            Column("gaps", Type.FLOATS, "places where a member is missing, degrees"),
        ),
        part="families",
    ),
    NodeType(
        "Feature",
        "A feature found in several models: an entry of the periodic table.",
        (
            key("u17"),
            string("name", "title"),
            string("kind", "kind of its members", indexed=True),
            string("family", "transform group of the families that its members belong to"),
            integer("models", "number of models"),
            integer("size", "number of neurons"),
            floating("depth", "median relative depth of its members"),
            floating("score", "mean match of its members"),
            string("source", "`computed` or `curated`"),
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
            key("unioning_over_cases"),
            string("title", "title"),
            string("definition", "when it is there"),
            string("source", "paper or article"),
        ),
    ),
    NodeType(
        "Motif",
        "One found instance of a motif.",
        (
            key("3f9a..."),
            string("model", "key of its model", indexed=True),
            string("kind", "key of its motif kind", indexed=True),
            floating("score", "score", indexed=True),
            *SIGNIFICANCE,
            string("null", "null model of `p` and `q`"),
            string("parameters", "parameters of the search, as JSON"),
            Column("roles", Type.STRINGS, "role of each of `members`, in order"),
            Column(
                "members",
                Type.STRINGS,
                "keys of what plays a part: neurons, layers, families, branches",
            ),
        ),
    ),
)
