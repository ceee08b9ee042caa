// Families whose weights depend on the relative offset of their members alone, the kernel turned
// with it.
//
// params:
//   model (model): the model
//   circuit_class (string = "all"): `e->e` (family to family), `i->e` (one invariant neuron to a
//     family), `e->i` (the other way round), or `all`
//   min_score (float = 0): least R2
//   limit (integer = 100): at most so many rows
// renamed: least -> min_score
// roles: sender; receiver
// returns:
//   sender: key of the family that sends; an invariant neuron is a family of one
//   receiver: key of the family that it feeds
//   group: transform group of both
//   circuit_class: `e->e`, `i->e` or `e->i`
//   pairs: pairs of members that the weights are between
//   compression: weights over free parameters of the template
//   offsets: relative offsets of the template, the sender's less the receiver's
//   template: mean summed weight at each of them, in units of the receivers' root mean square
//   score: R2, the share of the weights' variance that the template explains, rounded to nine
//     digits
//   p: p against permuted offsets
//   q: false discovery rate over all circuits of the network that were tested
//   null: name of the null model
//
// What annotation found at q <= 0.05 (`circuitome annotate BUNDLE`). R2 alone is **not a finding**:
// a template of few pairs fits anything, so look at p and q. They have a floor in small families:
// three members with three cannot be told from chance, and are not asked.
//
// Source: Olah et al., *Naturally Occurring Equivariance in Neural Networks*, Distill 2020;
// Cammarata et al., *Curve Circuits*, Distill 2021.
MATCH (f:Family)-[r:FEEDS]->(g:Family)
WHERE f.model = $model AND g.model = $model
  AND ($circuit_class = 'all' OR r.circuit_class = $circuit_class)
  AND round(r.r2, 9) >= $min_score
RETURN f.key AS sender, g.key AS receiver, g.`group` AS `group`, r.circuit_class AS circuit_class,
       r.pairs AS pairs,
       r.compression AS compression, r.offsets AS offsets, r.template AS template,
       round(r.r2, 9) AS score, r.p AS p,
       r.q AS q, r.`null` AS `null`
ORDER BY score DESC, sender, receiver
LIMIT $limit
