// The neurons that answer the same whatever a transform does.
//
// params:
//   model (model): the model
//   transform (string = "rotate"): `rotate`, `flip_h`, `flip_v`, `scale`, `hue` or `invert`
//   min_invariance (float = 0.7071): least invariance; above 0.7071 more than half of its variance
//     stays
//   limit (integer = 100): at most so many rows
// renamed: least -> min_invariance
// returns:
//   neuron: key of the neuron
//   layer: key of its layer
//   invariance: correlation of its responses with themselves under it
//   kind: what it responds to
//
// Being invariant is not being equivariant: such a neuron needs no partner, it is its own. In
// trained networks most deep layers are of this sort. There are no rows before the model is
// annotated.
MATCH (n:Neuron)
WHERE n.model = $model
WITH n, CASE $transform WHEN 'rotate' THEN n.invariance_rotate
     WHEN 'flip_h' THEN n.invariance_flip_h
                    WHEN 'flip_v' THEN n.invariance_flip_v WHEN 'scale' THEN n.invariance_scale
                    WHEN 'hue' THEN n.invariance_hue WHEN 'invert' THEN n.invariance_invert
                    ELSE NULL END AS invariance
WHERE invariance >= $min_invariance
RETURN n.key AS neuron, n.layer AS layer, invariance, n.kind AS kind
ORDER BY invariance DESC, neuron
LIMIT $limit
