// Curves excited by earlier curves and lines that are tangent to them, and inhibited by opposing
// ones.
//
// params:
//   model (model): the model
//   min_score (float = 0.5): least score
//   min_inputs (integer = 3): least number of strong inputs that are curves or lines
//   strength (float = 1): least share of each of them, in units of 1 / fan-in of the curve
//   polarity (float = 0.2): least |polarity| of each of them
//   radius (float = 4): radius of the arc through the kernel's centre, pixels of the kernel
//   limit (integer = 100): at most so many curves
// renamed: least -> min_score, inputs -> min_inputs
// roles: curve; excited_by = input if effect = excites; inhibited_by = input if effect = inhibits
// instance: curve
// returns:
//   curve: key of the neuron
//   input: key of one input
//   effect: `excites` or `inhibits`
//   share: its share of the curve's squared fan-in norm
//   agreement: 1 where it is tangent at its place (a curve: and bent the same way), -1 where it
//     opposes
//   score: mean agreement of all inputs, those that inhibit counted the other way round, each by
//     its share; rounded to nine digits so that both engines order alike
//
// One row a curve and input. The place of an input is the centre of its kernel's positive part
// where it excites, of its negative part where it inhibits; there, the tangent stands at right
// angles to the direction of the arc's centre. Lines agree by the cosine of twice the angle to the
// tangent, curves by that of the angle between the two directions of curvature. Edges without a
// place (kernels of 1 x 1) are left out. Kinds and orientations come from annotation.
//
// A row by itself is **not a finding**: ask for its q (`circuitome motifs tangent_circuit --null
// 199`).
//
// Source: Cammarata et al., *Curve Circuits*, Distill 2021.
MATCH (a:Neuron)-[r:EXCITES|INHIBITS]->(b:Neuron)
WHERE a.model = $model AND b.model = $model AND b.kind = 'curve'
  AND (a.kind = 'curve' OR a.kind IN stimuli('bar'))
  AND a.orientation_deg IS NOT NULL AND b.orientation_deg IS NOT NULL
  AND r.share * b.fan_in >= $strength AND abs(r.polarity) >= $polarity
WITH a.key AS input, a.kind AS kind, b.key AS curve, r.share AS share,
     CASE WHEN r.weight >= 0 THEN 1.0 ELSE -1.0 END AS sign,
     CASE WHEN r.weight >= 0 THEN r.ex ELSE r.ix END AS x,
     CASE WHEN r.weight >= 0 THEN r.ey ELSE r.iy END AS y,
     radians(a.orientation_deg) AS turn, radians(b.orientation_deg) AS facing
WHERE x <> 0 OR y <> 0
// from the place to the centre of the arc: right, and down
WITH input, kind, curve, share, sign, turn, -x + $radius * cos(facing) AS right,
     -y - $radius * sin(facing) AS down
WITH input, kind, curve, share, sign,
     (cos(turn) * right - sin(turn) * down) / sqrt(right * right + down * down) AS along
WITH input, curve, share, sign,
     CASE WHEN kind = 'curve' THEN along ELSE 1 - 2 * along * along END AS agreement
WITH curve, count(input) AS number, sum(share) AS total, sum(share * sign * agreement) AS agreed,
     collect({input: input, share: share, sign: sign, agreement: agreement}) AS edges
WHERE number >= $min_inputs AND total > 0
WITH curve, edges, round(agreed / total, 9) AS score
WHERE score >= $min_score
WITH curve, edges, score
ORDER BY score DESC, curve
LIMIT $limit
UNWIND edges AS edge
RETURN curve, edge.input AS input,
       CASE WHEN edge.sign > 0 THEN 'excites' ELSE 'inhibits' END AS effect,
       edge.share AS share, edge.agreement AS agreement, score
ORDER BY score DESC, curve, input
