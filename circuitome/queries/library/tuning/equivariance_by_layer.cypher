// How equivariant and how invariant a model is, layer by layer.
//
// params:
//   model (model): the model
// returns:
//   index: position in the order of computation, from 0
//   layer: key of the layer
//   neurons: number of channels
//   equivariant: share of its neurons with an equivariant partner at q <= 0.05
//   in_families: share of its neurons that are members of a computed family
//   invariant: share of its neurons that rotation leaves alone: lowest correlation with itself at
//     least 0.707
//
// There are no rows before the model is annotated.
MATCH (l:Layer)
WHERE l.model = $model AND (l.equivariant IS NOT NULL OR l.in_families IS NOT NULL
  OR l.invariant IS NOT NULL)
RETURN l.index AS index, l.key AS layer, l.channels AS neurons, l.equivariant AS equivariant,
       l.in_families AS in_families, l.invariant AS invariant
ORDER BY index, layer
