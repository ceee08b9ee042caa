// A neuron that high-low frequency detectors excite together with another cue to the same boundary.
//
// params:
//   model (model): the model
//   strength (float = 4): least share of each edge, in units of 1 / fan-in of its receiver; 4 is a
//     kernel of twice the root mean square of the receiver's kernels
//   polarity (float = 0.2): least |polarity| of each edge
//   agreement (float = 0.5): least cosine of twice the angle between the two; 0.5 is 30 degrees
//   limit (integer = 100): at most so many rows
// roles: boundary; high_low; cue
// returns:
//   boundary: key of the neuron that both excite
//   high_low: key of the high-low frequency detector
//   cue: key of the line, edge, brightness gradient or colour contrast
//   angle: cosine of twice the angle between the two borders, rounded to nine digits
//   score: strength of the weaker of the two edges, in units of 1 / fan-in
//
// `(h)-[:EXCITES]->(b)<-[:EXCITES]-(l)`. Which side is which is not asked: a boundary is one for
// either.
//
// A row by itself is **not a finding**: ask for its q (`circuitome motifs high_low_to_boundary
// --null 199`).
//
// Source: Schubert et al., *High-Low Frequency Detectors*, Distill 2021 (`mixed3a` to the boundary
// detectors of `mixed3b`).
MATCH (h:Neuron)-[r:EXCITES]->(b:Neuron)<-[s:EXCITES]-(l:Neuron)
WHERE h.model = $model AND b.model = $model AND l.model = $model AND h.key <> l.key
  AND h.kind = 'high_low' AND l.kind IN stimuli('border')
  AND r.share * b.fan_in >= $strength AND abs(r.polarity) >= $polarity
  AND s.share * b.fan_in >= $strength AND abs(s.polarity) >= $polarity
WITH b.key AS boundary, h.key AS high_low, l.key AS cue,
     round(cos(radians(2 * (h.orientation_deg - l.orientation_deg))), 9) AS angle,
     CASE WHEN r.share < s.share THEN r.share * b.fan_in ELSE s.share * b.fan_in END AS score
WHERE angle >= $agreement
RETURN boundary, high_low, cue, angle, score
ORDER BY score DESC, boundary, high_low, cue
LIMIT $limit
