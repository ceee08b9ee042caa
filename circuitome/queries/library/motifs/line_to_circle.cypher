// Round neurons excited by lines and borders tangent to a ring about them, inhibited by radial
// ones.
//
// params:
//   model (model): the model
//   min_score (float = 0.5): least score
//   min_inputs (integer = 3): least number of strong inputs that are lines or borders
//   strength (float = 1): least share of each of them, in units of 1 / fan-in of the circle
//   polarity (float = 0.2): least |polarity| of each of them
//   limit (integer = 100): at most so many neurons
// renamed: least -> min_score, inputs -> min_inputs
// roles: circle; excited_by = input if effect = excites; inhibited_by = input if effect = inhibits
// instance: circle
// returns:
//   circle: key of the neuron
//   input: key of one input
//   effect: `excites` or `inhibits`
//   share: its share of the neuron's squared fan-in norm
//   agreement: 1 where it lies at right angles to the direction of its place, -1 where it lies
//     along it
//   score: mean agreement of all inputs, those that inhibit counted the other way round, each by
//     its share; rounded to nine digits so that both engines order alike
//
// One row a neuron and input. The place of an input is the centre of its kernel's positive part
// where it excites, of its negative part where it inhibits. Edges without a place (kernels of 1 x
// 1) are left out. Kinds and orientations come from annotation.
//
// A row by itself is **not a finding**: ask for its q (`circuitome motifs line_to_circle --null
// 199`).
//
// Source: Olah et al., *Naturally Occurring Equivariance in Neural Networks*, Distill 2020 (`line
// -> circle`).
MATCH (a:Neuron)-[r:EXCITES|INHIBITS]->(b:Neuron)
WHERE a.model = $model AND b.model = $model AND b.kind IN stimuli('round', 'grey')
  AND a.kind IN stimuli('bar')
  AND a.orientation_deg IS NOT NULL AND r.share * b.fan_in >= $strength
  AND abs(r.polarity) >= $polarity
WITH a.key AS input, b.key AS circle, r.share AS share,
     CASE WHEN r.weight >= 0 THEN 1.0 ELSE -1.0 END AS sign,
     CASE WHEN r.weight >= 0 THEN r.ex ELSE r.ix END AS x,
     CASE WHEN r.weight >= 0 THEN r.ey ELSE r.iy END AS y,
     radians(a.orientation_deg) AS turn
WHERE x <> 0 OR y <> 0
WITH input, circle, share, sign, (cos(turn) * x - sin(turn) * y) / sqrt(x * x + y * y) AS along
WITH input, circle, share, sign, 1 - 2 * along * along AS agreement
WITH circle, count(input) AS number, sum(share) AS total, sum(share * sign * agreement) AS agreed,
     collect({input: input, share: share, sign: sign, agreement: agreement}) AS edges
WHERE number >= $min_inputs AND total > 0
WITH circle, edges, round(agreed / total, 9) AS score
WHERE score >= $min_score
WITH circle, edges, score
ORDER BY score DESC, circle
LIMIT $limit
UNWIND edges AS edge
RETURN circle, edge.input AS input,
       CASE WHEN edge.sign > 0 THEN 'excites' ELSE 'inhibits' END AS effect,
       edge.share AS share, edge.agreement AS agreement, score
ORDER BY score DESC, circle, input
