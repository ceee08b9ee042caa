// How well a layer of another network predicts each neuron of this one: linear read-outs, best
// first.
//
// params:
//   model (model): the model
//   q (float = 1): largest false discovery rate
//   limit (integer = 100): at most so many rows
// returns:
//   neuron: key of the neuron
//   layer: key of the other network's layer
//   r2: cross-validated R2 of ridge regression
//   null_r2: mean R2 from the same layer of twins
//   p: p value
//   q: false discovery rate
//   null_model: null model of both
//
// The layer is the one most alike the neuron's own by linear CKA.
MATCH (n:Neuron)-[r:READ_OUT_OF]->(l:Layer)
WHERE n.model = $model AND r.q <= $q
RETURN n.key AS neuron, l.key AS layer, r.r2 AS r2, r.null_r2 AS null_r2, r.p AS p, r.q AS q,
       r.`null` AS null_model
ORDER BY r2 DESC, neuron, layer
LIMIT $limit
