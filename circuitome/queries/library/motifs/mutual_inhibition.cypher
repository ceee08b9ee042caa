// Two neurons that oppose each other: each is excited by what inhibits the other.
//
// params:
//   model (model): the model
//   strength (float = 4): least share of each edge, in units of 1 / fan-in of its receiver; 4 is a
//     kernel of twice the root mean square of the receiver's kernels
//   polarity (float = 0.2): least |polarity| of each edge
//   limit (integer = 100): at most so many rows
// roles: case = case_1, case_2; source = source_1, source_2
// returns:
//   case_1: key of one neuron
//   case_2: key of the other, in the same layer
//   source_1: key of the input that excites the first and inhibits the second
//   source_2: key of the input that excites the second and inhibits the first
//   score: strength of the weakest of the four edges, in units of 1 / fan-in
//
// In Cypher's own words:
// `(a1)-[:EXCITES]->(b1)<-[:INHIBITS]-(a2)-[:EXCITES]->(b2)<-[:INHIBITS]-(a1)`. Written so, engines
// join the four edges in an order that needs gigabytes; here every pair of cases collects its
// sources instead.
//
// The bare form, from edges alone: a list of candidates, **not a finding**. A row has a q, and the
// motif has no p: shuffled signs turn copies of a neuron into neurons that oppose each other, and
// other null models call neurons that merely share inputs. What held on SqueezeNet 1.1: pairs whose
// whole fan-ins oppose each other (cosine below -0.5), 117 against 42 +- 6.6 with shuffled signs.
// The number of instances explodes as `strength` falls: there, 22 at 8, 15,575 at 4, 2.8 million
// at 2.
//
// Source: Olah et al., *Zoom In: An Introduction to Circuits*, Distill 2020.
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
UNWIND for_first AS x
UNWIND for_second AS y
RETURN case_1, case_2, x.source AS source_1, y.source AS source_2,
       CASE WHEN x.weakest < y.weakest THEN x.weakest ELSE y.weakest END AS score
ORDER BY score DESC, case_1, case_2, source_1, source_2
LIMIT $limit
