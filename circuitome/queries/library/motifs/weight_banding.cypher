// Layers whose kernels vary along y more than along x.
//
// params:
//   model (model): the model
//   min_score (float = 0): least banding ratio
//   limit (integer = 100): at most so many rows
// renamed: least -> min_score
// roles: layer
// returns:
//   layer: key of the layer
//   index: position in the order of computation, from 0
//   depth: its place in the model, 0 to 1
//   kernel: kernel height and width, pixels
//   score: banding ratio, variance of the signed kernels along y over that along x
//   p: p of the ratio against kernels transposed at random, after annotation
//
// 1 is no direction preferred. The bare ratio is **not a finding**: on SqueezeNet 1.1 the 3 x 3
// layers lie at 0.94 to 1.03, until fire 11 has 1.55 and fire 12 has 5.50 (p = .001 against
// transposed filters); the last convolution of trained ResNet-20s has 1.89 to 2.07, of a hardly
// trained one 1.07; early layers have p > .1. The last layer is not always the most banded: in a
// held-out SqueezeNet fire 8 has 9.12, fire 9 4.10. Layers with 1 x 1 kernels have no ratio.
//
// Source: Petrov et al., *Weight Banding*, Distill 2021.
MATCH (l:Layer)
WHERE l.model = $model AND l.banding_ratio >= $min_score
RETURN l.key AS layer, l.index AS index, l.depth AS depth, l.kernel AS kernel,
       l.banding_ratio AS score, l.banding_p AS p
ORDER BY score DESC, layer
LIMIT $limit
