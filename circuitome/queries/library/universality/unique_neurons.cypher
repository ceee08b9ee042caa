// The neurons of a network that no other network has, as far as it was compared: no match is
// believable.
//
// params:
//   model (model): the model
//   q (float = 0.05): a match of at most this q is an analogue
//   limit (integer = 100): at most so many rows
// returns:
//   neuron: key of the neuron
//   layer: key of its layer
//   depth: relative depth
//   kind: what it responds to, after annotation
//   compared: number of networks that it was looked for in
//   least_q: least q of its matches
//   score: highest of their scores
//   reliability: how alike its signature is to itself, a little displaced: where it is low, nothing
//     can match
//
// Lowest scores first. Not to be found is no proof of being unique: q of small layers cannot be
// low, and the first layers' matches are not believable because random filters match as well.
// Neurons without a signature were not compared and are not here.
MATCH (n:Neuron)-[r:ANALOGOUS_TO]->(:Neuron)
WHERE n.model = $model
WITH n, count(r) AS compared, min(r.q) AS least_q, max(r.score) AS score
WHERE least_q > $q
RETURN n.key AS neuron, n.layer AS layer, n.depth AS depth, n.kind AS kind, compared, least_q,
       score,
       n.reliability AS reliability
ORDER BY score, neuron
LIMIT $limit
