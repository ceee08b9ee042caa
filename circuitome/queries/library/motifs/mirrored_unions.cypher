// Two cases that exclude each other and are one another transformed, and the neurons that unite
// them.
//
// params:
//   model (model): the model
//   transform (string = "flip_h"): what takes one case to the other: `flip_h`, `flip_v`, `rotate`,
//     `hue`, `invert` ...
//   q (float = 0.05): largest false discovery rate of the two as an equivariant pair
//   opposed (float = 0.1): their fan-ins have at most minus this cosine
//   together (float = 0.2): their fan-outs have at least this cosine
//   strength (float = 4): least share of the edges into a neuron that unites them, in units of 1 /
//     fan-in
//   polarity (float = 0.2): least |polarity| of these
//   limit (integer = 100): at most so many pairs
// roles: union = united; case = case_1, case_2
// instance: pair
// returns:
//   case_1: key of one case
//   case_2: key of the other, in the same layer
//   united: key of a neuron that both strongly excite
//   pair: both cases
//   fan_in: cosine of what they read: of their weights, over all their senders
//   fan_out: cosine of what they send, over all their receivers, each weight in units of its
//     receiver's root mean square
//   score: minus the one or the other, whichever is less, rounded to nine digits so that both
//     engines order alike
//
// `(b1)-[:EQUIVARIANT_TO]->(b2), (b1)-[:EXCITES]->(u)<-[:EXCITES]-(b2)`, where what speaks for one
// case speaks against the other and both say the same. One row a pair and a neuron that unites it.
//
// Equivariant pairs are by response and take an annotation (`circuitome annotate`). A row by itself
// is **not a finding**: ask for its q (`circuitome motifs mirrored_unions --null 199`).
//
// Source: Olah et al., *Zoom In: An Introduction to Circuits*, Distill 2020 (dog heads:
// `4a:222,234,235,308 -> 4b:418`).
MATCH (b:Neuron)-[e:EQUIVARIANT_TO]->(c:Neuron)
WHERE b.model = $model AND c.model = $model AND e.transform = $transform
  AND coalesce(e.q, 1.0) <= $q
WITH DISTINCT CASE WHEN b.key < c.key THEN b.key ELSE c.key END AS case_1,
     CASE WHEN b.key < c.key THEN c.key ELSE b.key END AS case_2
// their whole fan-ins oppose each other
WITH case_1, case_2, cosine_of_fan_ins(case_1, case_2) AS fan_in
WHERE round(-fan_in, 9) >= $opposed
// and their whole fan-outs agree
WITH case_1, case_2, fan_in, cosine_of_fan_outs(case_1, case_2) AS fan_out
WHERE round(fan_out, 9) >= $together
// the neurons that both strongly excite
MATCH (b1:Neuron {key: case_1})-[x:EXCITES]->(u:Neuron)
WHERE x.share * u.fan_in >= $strength AND abs(x.polarity) >= $polarity
WITH case_1, case_2, fan_in, fan_out, u.key AS united
MATCH (b2:Neuron)-[y:EXCITES]->(v:Neuron)
WHERE v.model = $model AND b2.key = case_2 AND v.key = united
  AND y.share * v.fan_in >= $strength AND abs(y.polarity) >= $polarity
WITH case_1, case_2, fan_in, fan_out, collect(united) AS receivers
WITH case_1, case_2, fan_in, fan_out, receivers,
     CASE WHEN -fan_in < fan_out THEN round(-fan_in, 9) ELSE round(fan_out, 9) END AS score
ORDER BY score DESC, case_1, case_2
LIMIT $limit
UNWIND receivers AS united
RETURN case_1, case_2, united, case_1 + ' ' + case_2 AS pair, fan_in, fan_out, score
ORDER BY score DESC, case_1, case_2, united
