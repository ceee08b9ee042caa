// The analogues of a neuron in other networks: its best match in each that it was compared with.
//
// params:
//   neuron (neuron): the neuron
//   q (float = 1): largest false discovery rate
// returns:
//   model: key of the other network
//   neuron: key of the analogue
//   score: correlation of the response signatures
//   mutual: whether each is the other's best match
//   p: p value
//   q: false discovery rate
//   null_model: null model of both
//   share: score over what is possible: the geometric mean of both reliabilities
//   depth_here: relative depth of the neuron
//   depth: relative depth of the analogue
//   field_here: theoretical receptive field of the neuron, its height in input pixels
//   field: the same of the analogue
//   kind: what the analogue responds to, after annotation
//
// `circuitome compare BUNDLE BUNDLE --db DB` finds them. A high score is no evidence by itself; q
// is.
MATCH (a:Neuron)-[r:ANALOGOUS_TO]->(b:Neuron)
WHERE a.key = $neuron AND r.q <= $q
RETURN b.model AS model, b.key AS neuron, r.score AS score, r.mutual AS mutual, r.p AS p, r.q AS q,
       r.`null` AS null_model, r.share AS share, r.depth_from AS depth_here, r.depth_to AS depth,
       r.field_from AS field_here, r.field_to AS field, b.kind AS kind
ORDER BY score DESC, neuron
