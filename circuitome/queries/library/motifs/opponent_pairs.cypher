// Two neurons of one layer whose whole fan-ins oppose each other.
//
// params:
//   model (model): the model
//   cosine (float = 0.5): their fan-ins have at most minus this cosine
//   strength (float = 4): least share of each strong edge, in units of 1 / fan-in of its receiver;
//     4 is a kernel of twice the root mean square of the receiver's kernels
//   polarity (float = 0.2): least |polarity| of each strong edge
//   limit (integer = 100): at most so many rows
// roles: case = case_1, case_2
// returns:
//   case_1: key of one neuron
//   case_2: key of the other, in the same layer
//   cosine: cosine of their weights, over all their senders
//   score: minus the cosine, rounded to nine digits so that both engines order alike
//
// Mutual inhibition, one row a pair:
// `(a1)-[:EXCITES]->(b1)<-[:INHIBITS]-(a2)-[:EXCITES]->(b2)<-[:INHIBITS]-(a1)` with four strong
// edges, and everything else that the two read opposes as well.
//
// A row by itself is **not a finding**: ask for its q (`circuitome motifs opponent_pairs --null
// 199`). On SqueezeNet 1.1 and 1.0 there are about three times as many as after the signs are
// shuffled among each receiver's inputs, where the bare four edges are scarcer than shuffled. A
// held-out SqueezeNet with leaky rectifiers has no more than that: 4 against 3.1 (p = 0.4).
//
// Source: Olah et al., *Zoom In: An Introduction to Circuits*, Distill 2020.
MATCH (b:Neuron)<-[r:EXCITES]-(a:Neuron)-[s:INHIBITS]->(c:Neuron)
WHERE a.model = $model AND b.model = $model AND c.model = $model AND b.layer = c.layer
  AND r.share * b.fan_in >= $strength AND abs(r.polarity) >= $polarity
  AND s.share * c.fan_in >= $strength AND abs(s.polarity) >= $polarity
// both ways round: what excites the first and inhibits the second, and what does the opposite
WITH b.key AS excited, c.key AS inhibited
WITH CASE WHEN excited < inhibited THEN excited ELSE inhibited END AS case_1,
     CASE WHEN excited < inhibited THEN inhibited ELSE excited END AS case_2,
     sum(CASE WHEN excited < inhibited THEN 1 ELSE 0 END) AS one_way,
     sum(CASE WHEN excited < inhibited THEN 0 ELSE 1 END) AS other_way
WHERE one_way > 0 AND other_way > 0
// their whole fan-ins
WITH case_1, case_2, cosine_of_fan_ins(case_1, case_2) AS cosine
WHERE round(-cosine, 9) >= $cosine
RETURN case_1, case_2, cosine, round(-cosine, 9) AS score
ORDER BY score DESC, case_1, case_2
LIMIT $limit
