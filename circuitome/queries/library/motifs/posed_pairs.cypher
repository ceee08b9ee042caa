// Two poses of a feature that each excite a pose of a later feature, and a neuron that unites
// these.
//
// params:
//   model (model): the model
//   transform (string = "flip_h"): what takes one pose to the other
//   q (float = 0.05): largest false discovery rate of each of the two equivariant pairs
//   strength (float = 4): least share of each edge, in units of 1 / fan-in of its receiver
//   polarity (float = 0.2): least |polarity| of each edge
//   limit (integer = 100): at most so many rows
// roles: first; second; later_first; later_second; union = united
// returns:
//   first: key of one pose
//   second: key of the other, in the same layer
//   later_first: key of the later feature that the first excites
//   later_second: key of the same feature transformed, which the second excites
//   united: key of the neuron that both later features excite
//   score: strength of the weakest of the four edges, in units of 1 / fan-in
//
// `(a1)-[:EXCITES]->(b1)-[:EXCITES]->(u)` and the same with 2, where a1 and a2, and b1 and b2, are
// equivariant pairs, and neither pose strongly excites the other's later feature. `first` is the
// one whose key comes first.
//
// Equivariant pairs are by response and take an annotation (`circuitome annotate`). A row by itself
// is **not a finding**: ask for its q (`circuitome motifs posed_pairs --null 199`).
//
// Source: Olah et al., *Zoom In*, Distill 2020 (dog heads), and *Naturally Occurring Equivariance*,
// Distill 2020 (human-animal).
MATCH (a:Neuron)-[e:EQUIVARIANT_TO]->(c:Neuron)
WHERE a.model = $model AND c.model = $model AND e.transform = $transform
  AND coalesce(e.q, 1.0) <= $q
WITH DISTINCT CASE WHEN a.key < c.key THEN a.key ELSE c.key END AS first,
     CASE WHEN a.key < c.key THEN c.key ELSE a.key END AS second
// what each of the two excites
MATCH (a1:Neuron {key: first})-[r:EXCITES]->(b1:Neuron)
WHERE b1.model = $model AND r.share * b1.fan_in >= $strength AND abs(r.polarity) >= $polarity
WITH first, second, b1.key AS later_first, r.share * b1.fan_in AS weakest
MATCH (a2:Neuron {key: second})-[s:EXCITES]->(b2:Neuron)
WHERE b2.model = $model AND s.share * b2.fan_in >= $strength AND abs(s.polarity) >= $polarity
WITH first, second, later_first, b2.key AS later_second,
     CASE WHEN weakest < s.share * b2.fan_in THEN weakest ELSE s.share * b2.fan_in END AS weakest
// a pair again, and each its own
WHERE (EXISTS { MATCH (x:Neuron)-[e:EQUIVARIANT_TO]->(y:Neuron)
                WHERE x.key = later_first AND y.key = later_second AND e.transform = $transform
                  AND coalesce(e.q, 1.0) <= $q }
    OR EXISTS { MATCH (x:Neuron)-[e:EQUIVARIANT_TO]->(y:Neuron)
                WHERE x.key = later_second AND y.key = later_first AND e.transform = $transform
                  AND coalesce(e.q, 1.0) <= $q })
  AND NOT EXISTS { MATCH (x:Neuron)-[t:EXCITES]->(y:Neuron)
                   WHERE x.key = first AND y.key = later_second
                     AND t.share * y.fan_in >= $strength AND abs(t.polarity) >= $polarity }
  AND NOT EXISTS { MATCH (x:Neuron)-[t:EXCITES]->(y:Neuron)
                   WHERE x.key = second AND y.key = later_first
                     AND t.share * y.fan_in >= $strength AND abs(t.polarity) >= $polarity }
WITH first, second, later_first, later_second, weakest
// and the neurons that unite the two
MATCH (b1:Neuron {key: later_first})-[u1:EXCITES]->(u:Neuron)
WHERE u.model = $model AND u1.share * u.fan_in >= $strength AND abs(u1.polarity) >= $polarity
WITH first, second, later_first, later_second, u.key AS united,
     CASE WHEN weakest < u1.share * u.fan_in THEN weakest ELSE u1.share * u.fan_in END AS weakest
MATCH (b2:Neuron {key: later_second})-[u2:EXCITES]->(v:Neuron {key: united})
WHERE u2.share * v.fan_in >= $strength AND abs(u2.polarity) >= $polarity
RETURN first, second, later_first, later_second, v.key AS united,
       CASE WHEN weakest < u2.share * v.fan_in THEN weakest ELSE u2.share * v.fan_in END AS score
ORDER BY score DESC, first, second, later_first, later_second, united
LIMIT $limit
