// A neuron that unites two cases which exclude each other.
//
// params:
//   model (model): the model
//   strength (float = 4): least share of each edge, in units of 1 / fan-in of its receiver; 4 is a
//     kernel of twice the root mean square of the receiver's kernels
//   polarity (float = 0.2): least |polarity| of each edge
//   limit (integer = 100): at most so many rows
// roles: union = united; case = case_1, case_2; source = source_1, source_2
// returns:
//   united: key of the neuron that both cases excite
//   case_1: key of one case
//   case_2: key of the other, in the same layer
//   source_1: key of the input that excites the first case and inhibits the second
//   source_2: key of the input that excites the second case and inhibits the first
//   score: strength of the weakest of the six edges, in units of 1 / fan-in
//
// `(a1)-[:EXCITES]->(b1)-[:EXCITES]->(u), (a1)-[:INHIBITS]->(b2)` and the same with 1 and 2
// exchanged.
//
// The bare form, from edges alone: a list of candidates, **not a finding**. The p of the motif
// counts part of it, against relabelled channels: mutual inhibitions that some neuron unites, each
// once, of cases that oppose each other in every strong input that they share. A small p says that
// opposing cases are read together more often than if each neuron had the readers of another one.
// Neurons that share inputs and readers, whatever the signs, have that, too.
//
// That the cases are copies of one another (mirrored, turned), and that the union is invariant,
// cannot be seen from edges alone; pairs that oppose each other *and* mirror each other's responses
// held on SqueezeNet 1.1: 111 of 217 against 28.7 +- 4.9. The number of bare instances explodes
// with the number of edges (33,597 at 29,788 edges, 35 million at 107,393): raise `strength` before
// `limit`.
//
// Source: Olah et al., *Zoom In: An Introduction to Circuits*, Distill 2020 (dog heads:
// `4a:222,234,235,308 -> 4b:418`).
// naming the model everywhere keeps an engine from joining the edges of the others
MATCH (b:Neuron)<-[r:EXCITES]-(a:Neuron)-[s:INHIBITS]->(c:Neuron)
WHERE a.model = $model AND b.model = $model AND c.model = $model AND b.layer = c.layer
  AND r.share * b.fan_in >= $strength AND abs(r.polarity) >= $polarity
  AND s.share * c.fan_in >= $strength AND abs(s.polarity) >= $polarity
WITH a.key AS source, b.key AS excited, c.key AS inhibited,
     CASE WHEN r.share * b.fan_in < s.share * c.fan_in THEN r.share * b.fan_in
     ELSE s.share * c.fan_in END AS weakest
// both ways round: what excites the first case and inhibits the second, and what does the opposite
WITH CASE WHEN excited < inhibited THEN excited ELSE inhibited END AS case_1,
     CASE WHEN excited < inhibited THEN inhibited ELSE excited END AS case_2,
     collect(CASE WHEN excited < inhibited THEN {source: source, weakest: weakest}
     ELSE NULL END) AS for_first,
     collect(CASE WHEN excited < inhibited THEN NULL
     ELSE {source: source, weakest: weakest} END) AS for_second
WITH case_1, case_2, for_first, for_second
WHERE size(for_first) > 0 AND size(for_second) > 0
// and a neuron that both cases excite
MATCH (b1:Neuron {key: case_1})-[u1:EXCITES]->(u:Neuron)
WHERE b1.model = $model AND u.model = $model AND u1.share * u.fan_in >= $strength
  AND abs(u1.polarity) >= $polarity
WITH case_1, case_2, for_first, for_second, u, u1.share * u.fan_in AS from_first
MATCH (b2:Neuron {key: case_2})-[u2:EXCITES]->(u)
WHERE b2.model = $model AND u2.share * u.fan_in >= $strength AND abs(u2.polarity) >= $polarity
WITH case_1, case_2, for_first, for_second, u.key AS united,
     CASE WHEN from_first < u2.share * u.fan_in THEN from_first
     ELSE u2.share * u.fan_in END AS union_score
UNWIND for_first AS x
UNWIND for_second AS y
WITH united, case_1, case_2, x.source AS source_1, y.source AS source_2, union_score,
     CASE WHEN x.weakest < y.weakest THEN x.weakest ELSE y.weakest END AS opposition
RETURN united, case_1, case_2, source_1, source_2,
       CASE WHEN opposition < union_score THEN opposition ELSE union_score END AS score
ORDER BY score DESC, united, case_1, case_2, source_1, source_2
LIMIT $limit
