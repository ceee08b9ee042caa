// A neuron that unites two cases which exclude each other.
//
// params:
//   model (model): the model
//   strength (float = 2): least share of each edge, in units of 1 / fan-in of its receiver
//   polarity (float = 0.2): least |polarity| of each edge
//   limit (integer = 100): at most so many rows
// returns:
//   united: key of the neuron that both cases excite
//   case_1: key of one case
//   case_2: key of the other, in the same layer
//   source_1: key of the input that excites the first case and inhibits the second
//   source_2: key of the input that excites the second case and inhibits the first
//   score: strength of the weakest of the six edges, in units of 1 / fan-in
//
// The bare form, from edges alone: a list of candidates, **not a finding**. On SqueezeNet 1.1 the six edges occur 133
// times at one set of thresholds, and 206 times after the signs are shuffled among each receiver's inputs. That the
// cases are copies of one another (mirrored, turned), and that the union is invariant, cannot be seen from edges
// alone; pairs that oppose each other *and* mirror each other's responses held on the same network: 111 of 217 against
// 28.7 +- 4.9. The number of bare instances explodes with the number of edges (33,597 at 29,788 edges, 35 million at
// 107,393): raise `strength` before `limit`.
//
// Source: Olah et al., *Zoom In: An Introduction to Circuits*, Distill 2020 (dog heads: `4a:222,234,235,308 -> 4b:418`).
MATCH (a1:Neuron)-[r1:EXCITES]->(b1:Neuron)-[u1:EXCITES]->(u:Neuron), (a1)-[s1:INHIBITS]->(b2:Neuron),
      (a2:Neuron)-[r2:EXCITES]->(b2)-[u2:EXCITES]->(u), (a2)-[s2:INHIBITS]->(b1)
WHERE b1.model = $model AND b1.layer = b2.layer AND b1.key < b2.key
  AND r1.share * b1.fan_in >= $strength AND abs(r1.polarity) >= $polarity
  AND s1.share * b2.fan_in >= $strength AND abs(s1.polarity) >= $polarity
  AND r2.share * b2.fan_in >= $strength AND abs(r2.polarity) >= $polarity
  AND s2.share * b1.fan_in >= $strength AND abs(s2.polarity) >= $polarity
  AND u1.share * u.fan_in >= $strength AND abs(u1.polarity) >= $polarity
  AND u2.share * u.fan_in >= $strength AND abs(u2.polarity) >= $polarity
WITH a1, a2, b1, b2, u,
     CASE WHEN r1.share < s2.share THEN r1.share * b1.fan_in ELSE s2.share * b1.fan_in END AS into_1,
     CASE WHEN r2.share < s1.share THEN r2.share * b2.fan_in ELSE s1.share * b2.fan_in END AS into_2,
     CASE WHEN u1.share < u2.share THEN u1.share * u.fan_in ELSE u2.share * u.fan_in END AS into_u
WITH a1, a2, b1, b2, u, into_u, CASE WHEN into_1 < into_2 THEN into_1 ELSE into_2 END AS opposition
RETURN u.key AS united, b1.key AS case_1, b2.key AS case_2, a1.key AS source_1, a2.key AS source_2,
       CASE WHEN opposition < into_u THEN opposition ELSE into_u END AS score
ORDER BY score DESC, united, case_1, case_2, source_1, source_2
LIMIT $limit
