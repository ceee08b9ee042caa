// The layers of a model, in the order of computation.
//
// params:
//   model (model): the model
// returns:
//   index: position in the order of computation, from 0
//   layer: key of the layer
//   op: `input`, `conv`, `linear`, `add`, `gate`, `norm` or `readout`
//   neurons: number of channels
//   reads: number of layers that it reads
//   depth: convolutions and linear layers before it, as a share of the longest chain
//   kernel: kernel height and width, pixels
//   stride: vertical, horizontal
//   groups: groups of a grouped convolution, else 1
//   receptive_field: height and width in input pixels
//   kept_mass: share of its squared kernel norm whose edges were kept
MATCH (l:Layer)
WHERE l.model = $model
OPTIONAL MATCH (before:Layer)-[:NEXT]->(l)
WITH l, count(before) AS reads
RETURN l.index AS index, l.key AS layer, l.op AS op, l.channels AS neurons, reads, l.depth AS depth,
       l.kernel AS kernel,
       l.stride AS stride, l.groups AS groups, l.receptive_field AS receptive_field,
       l.kept_mass AS kept_mass
ORDER BY index, layer
