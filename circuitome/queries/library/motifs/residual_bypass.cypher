// A neuron of the residual stream that hears an earlier one through the addition more than through
// the block's convolutions.
//
// params:
//   model (model): the model
//   min_score (float = 0.5): least part that the bypass carries
//   limit (integer = 100): at most so many rows
// renamed: least -> min_score
// roles: source; target; writer
// returns:
//   source: key of the neuron that the block reads
//   target: key of the addition's neuron behind the block
//   writer: key of the convolution's neuron that the block adds to the target
//   bypass: weight of the way through the addition
//   block: summed weight of the ways through the block: source, a hidden neuron, writer, target
//   paths: number of those ways
//   score: part of the bypass, |bypass| / (|bypass| + |block|), rounded to nine digits so that both
//     engines order alike
//
// `(s)-[:EXCITES|INHIBITS]->(t)` beside
// `(s)-[:EXCITES|INHIBITS]->(hidden)-[:EXCITES|INHIBITS]->(writer)-[:EXCITES|INHIBITS]->(t)`, where
// t adds. At a part of 0.5 both carry the same; a negative `block` erases what the bypass brings.
// Kernels are summed over their taps and the rectifier between is taken for open (an expanded
// weight). Blocks of two convolutions; the projections and the three-convolution blocks of deeper
// residual networks have no such ways.
//
// The bare form is **not a finding**: in a trained ResNet-20 206 of 282 neurons hear more through
// the bypass, and 247 +- 5 once the channels of each layer are permuted. A block says more to the
// very channel that it reads than to another one.
//
// Source: Voss et al., *Visualizing Weights*, Distill 2021 (expanded weights); He et al., *Deep
// Residual Learning*, 2016.
MATCH (s:Neuron)-[b:EXCITES|INHIBITS]->(t:Neuron)<-[o:EXCITES|INHIBITS]-(w:Neuron)
WHERE s.model = $model AND t.model = $model AND w.model = $model AND t.op = 'add'
  AND w.op = 'conv' AND s.key <> w.key
WITH s.key AS source, t.key AS target, w.key AS writer, b.weight AS bypass, o.weight AS added
// way by way: an engine that joins the five neurons at once takes minutes
MATCH (h:Neuron)-[v:EXCITES|INHIBITS]->(x:Neuron)
WHERE x.key = writer AND h.model = $model
WITH source, target, writer, bypass, added, h.key AS hidden, v.weight AS second
MATCH (y:Neuron)-[u:EXCITES|INHIBITS]->(m:Neuron)
WHERE m.key = hidden AND y.key = source
WITH source, target, writer, bypass, sum(u.weight * second * added) AS block, count(u) AS paths
WITH source, target, writer, bypass, block, paths,
     round(abs(bypass) / (abs(bypass) + abs(block)), 9) AS score
WHERE score >= $min_score
RETURN source, target, writer, bypass, block, paths, score
ORDER BY score DESC, target, source, writer
LIMIT $limit
