// Two neurons that oppose each other: each is excited by what inhibits the other.
//
// params:
//   model (model): the model
//   strength (float = 2): least share of each edge, in units of 1 / fan-in of its receiver
//   polarity (float = 0.2): least |polarity| of each edge
//   limit (integer = 100): at most so many rows
// returns:
//   case_1: key of one neuron
//   case_2: key of the other, in the same layer
//   source_1: key of the input that excites the first and inhibits the second
//   source_2: key of the input that excites the second and inhibits the first
//   score: strength of the weakest of the four edges, in units of 1 / fan-in
//
// The bare form, from edges alone: a list of candidates, **not a finding**. On SqueezeNet 1.1 four-edge patterns of this
// kind occur 800 times, and 896 times after the signs are shuffled among each receiver's inputs: strong edges merely
// sit together. What held there: pairs whose whole fan-ins oppose each other (cosine below -0.5), 117 against
// 42 +- 6.6 with shuffled signs.
//
// Source: Olah et al., *Zoom In: An Introduction to Circuits*, Distill 2020.
MATCH (a1:Neuron)-[r1:EXCITES]->(b1:Neuron), (a1)-[s1:INHIBITS]->(b2:Neuron),
      (a2:Neuron)-[r2:EXCITES]->(b2), (a2)-[s2:INHIBITS]->(b1)
WHERE b1.model = $model AND b1.layer = b2.layer AND b1.key < b2.key
  AND r1.share * b1.fan_in >= $strength AND abs(r1.polarity) >= $polarity
  AND s1.share * b2.fan_in >= $strength AND abs(s1.polarity) >= $polarity
  AND r2.share * b2.fan_in >= $strength AND abs(r2.polarity) >= $polarity
  AND s2.share * b1.fan_in >= $strength AND abs(s2.polarity) >= $polarity
WITH a1, a2, b1, b2,
     CASE WHEN r1.share < s2.share THEN r1.share * b1.fan_in ELSE s2.share * b1.fan_in END AS into_1,
     CASE WHEN r2.share < s1.share THEN r2.share * b2.fan_in ELSE s1.share * b2.fan_in END AS into_2
RETURN b1.key AS case_1, b2.key AS case_2, a1.key AS source_1, a2.key AS source_2,
       CASE WHEN into_1 < into_2 THEN into_1 ELSE into_2 END AS score
ORDER BY score DESC, case_1, case_2, source_1, source_2
LIMIT $limit
