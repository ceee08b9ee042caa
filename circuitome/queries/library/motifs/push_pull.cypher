// Two neurons of one layer that read opposite things and say opposite things.
//
// params:
//   model (model): the model
//   cosine (float = 0.3): their fan-ins, and their fan-outs, have at most minus this cosine
//   strength (float = 4): least share of each strong edge, in units of 1 / fan-in of its receiver
//   polarity (float = 0.2): least |polarity| of each strong edge
//   limit (integer = 100): at most so many rows
// roles: case = case_1, case_2
// returns:
//   case_1: key of one neuron
//   case_2: key of the other, in the same layer
//   fan_in: cosine of what they read: of their weights, over all their senders
//   fan_out: cosine of what they send, over all their receivers, each weight in units of its
//     receiver's root mean square
//   score: the weaker of the two oppositions, rounded to nine digits so that both engines order
//     alike
//
// `(a)-[:EXCITES]->(b1)-[:EXCITES]->(d), (a)-[:INHIBITS]->(b2)-[:INHIBITS]->(d)` with four strong
// edges, in any pairing of the signs that opposes b1 and b2 on both sides; and everything else that
// they read and send opposes as well. What the receivers get from one being on, they get from the
// other being off: a feature and its negative, over two rectifiers.
//
// A row by itself is **not a finding**: ask for its q (`circuitome motifs push_pull --null 199`).
// On SqueezeNet 1.1 there are more than twice as many as after the signs are shuffled among each
// receiver's inputs. A held-out SqueezeNet with leaky rectifiers has fewer: 1 against 20.3.
//
// Source: Olah et al., *Zoom In: An Introduction to Circuits*, Distill 2020; push-pull inhibition
// is an old name of the visual cortex.
MATCH (b:Neuron)<-[r:EXCITES]-(a:Neuron)-[s:INHIBITS]->(c:Neuron)
WHERE a.model = $model AND b.model = $model AND c.model = $model AND b.layer = c.layer
  AND r.share * b.fan_in >= $strength AND abs(r.polarity) >= $polarity
  AND s.share * c.fan_in >= $strength AND abs(s.polarity) >= $polarity
WITH b.key AS excited, c.key AS inhibited
WITH DISTINCT CASE WHEN excited < inhibited THEN excited ELSE inhibited END AS case_1,
     CASE WHEN excited < inhibited THEN inhibited ELSE excited END AS case_2
// and a receiver that one excites and the other inhibits
MATCH (b1:Neuron {key: case_1})-[t:EXCITES|INHIBITS]->(d:Neuron)
WHERE t.share * d.fan_in >= $strength AND abs(t.polarity) >= $polarity
WITH case_1, case_2, d.key AS receiver, t.weight >= 0 AS excites
MATCH (b2:Neuron)-[u:EXCITES|INHIBITS]->(e:Neuron)
WHERE e.model = $model AND b2.key = case_2 AND e.key = receiver AND (u.weight >= 0) <> excites
  AND u.share * e.fan_in >= $strength AND abs(u.polarity) >= $polarity
WITH DISTINCT case_1, case_2
// their whole fan-ins
WITH case_1, case_2, cosine_of_fan_ins(case_1, case_2) AS fan_in
WHERE round(-fan_in, 9) >= $cosine
// and their whole fan-outs
WITH case_1, case_2, fan_in, cosine_of_fan_outs(case_1, case_2) AS fan_out
WHERE round(-fan_out, 9) >= $cosine
RETURN case_1, case_2, fan_in, fan_out,
       CASE WHEN fan_in > fan_out THEN round(-fan_in, 9) ELSE round(-fan_out, 9) END AS score
ORDER BY score DESC, case_1, case_2
LIMIT $limit
