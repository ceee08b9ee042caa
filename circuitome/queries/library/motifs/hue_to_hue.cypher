// Neurons for a hue, excited by like hues and inhibited by opposite ones.
//
// params:
//   model (model): the model
//   min_score (float = 0.5): least score
//   min_inputs (integer = 3): least number of strong inputs that are for a hue
//   strength (float = 1): least share of each of them, in units of 1 / fan-in of the hue
//   polarity (float = 0.2): least |polarity| of each of them
//   limit (integer = 100): at most so many neurons
// renamed: least -> min_score, inputs -> min_inputs
// roles: hue; excited_by = input if effect = excites; inhibited_by = input if effect = inhibits
// instance: hue
// returns:
//   hue: key of the neuron
//   input: key of one input
//   effect: `excites` or `inhibits`
//   share: its share of the neuron's squared fan-in norm
//   agreement: cosine of the angle between the two hues
//   score: mean agreement of all inputs, those that inhibit counted the other way round, each by
//     its share; rounded to nine digits so that both engines order alike
//
// One row a neuron and input. Of both, the hue is that of a uniform colour or of a coloured middle;
// a border between two colours has none. Kinds and hues come from annotation.
//
// A row by itself is **not a finding**: ask for its q (`circuitome motifs hue_to_hue --null 199`).
//
// Source: Olah et al., *Naturally Occurring Equivariance in Neural Networks*, Distill 2020 (`hue ->
// hue`).
MATCH (a:Neuron)-[r:EXCITES|INHIBITS]->(b:Neuron)
WHERE a.model = $model AND b.model = $model
  AND a.kind IN stimuli('middle hue') AND b.kind IN stimuli('middle hue')
  AND a.hue_deg IS NOT NULL AND b.hue_deg IS NOT NULL
  AND r.share * b.fan_in >= $strength AND abs(r.polarity) >= $polarity
WITH a.key AS input, b.key AS hue, r.share AS share,
     CASE WHEN r.weight >= 0 THEN 1.0 ELSE -1.0 END AS sign,
     cos(radians(a.hue_deg) - radians(b.hue_deg)) AS agreement
WITH hue, count(input) AS number, sum(share) AS total, sum(share * sign * agreement) AS agreed,
     collect({input: input, share: share, sign: sign, agreement: agreement}) AS edges
WHERE number >= $min_inputs AND total > 0
WITH hue, edges, round(agreed / total, 9) AS score
WHERE score >= $min_score
WITH hue, edges, score
ORDER BY score DESC, hue
LIMIT $limit
UNWIND edges AS edge
RETURN hue, edge.input AS input,
       CASE WHEN edge.sign > 0 THEN 'excites' ELSE 'inhibits' END AS effect,
       edge.share AS share, edge.agreement AS agreement, score
ORDER BY score DESC, hue, input
