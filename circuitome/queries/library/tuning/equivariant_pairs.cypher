// The equivariant pairs of a model: neurons that are one another transformed.
//
// params:
//   model (model): the model
// returns:
//   first: key of one neuron
//   second: key of the other: the first, transformed
//   transform: `rotate`, `flip_h`, `flip_v`, `scale`, `hue`, `hue_rotate` or `invert`
//   amount: degrees or octaves
//   q: false discovery rate
//
// For whoever goes on in numpy; `partners` tells of one neuron. A pair may be there more than once:
// by responses and by weights, and under several amounts.
MATCH (a:Neuron)-[r:EQUIVARIANT_TO]->(b:Neuron)
WHERE a.model = $model
RETURN a.key AS first, b.key AS second, r.transform AS transform, r.amount AS amount, r.q AS q
ORDER BY transform, amount, q, first, second
