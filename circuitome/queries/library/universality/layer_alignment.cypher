// Which layers of other networks are like a layer, the most alike first.
//
// params:
//   layer (layer): the layer
//   limit (integer = 100): at most so many rows
// returns:
//   model: key of the other network
//   layer: key of its layer
//   depth: its relative depth
//   cka: linear centred kernel alignment of the response signatures
//   mutual_share: mutual best matches between the two, over the smaller's neurons
//   score: median best match of the layer's neurons in it
//   auc: chance that such a match beats that of a neuron of a twin
MATCH (l:Layer)-[r:ALIGNED_WITH]->(o:Layer)
WHERE l.key = $layer
RETURN o.model AS model, o.key AS layer, o.depth AS depth, r.cka AS cka,
       r.mutual_share AS mutual_share,
       r.score AS score, r.auc AS auc
ORDER BY cka DESC, layer
LIMIT $limit
