// Kuzu looks an edge up by its two ends where Neo4j walks along one of them: for each pair of
// neurons, sender by sender. Summed as in the other text it holds the senders of all pairs at once,
// more than a gigabyte for SqueezeNet.
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
MATCH (b1:Neuron {key: case_1})<-[x:EXCITES|INHIBITS]-(:Neuron)
WITH case_1, case_2, sum(x.weight * x.weight) AS first
MATCH (b2:Neuron {key: case_2})<-[y:EXCITES|INHIBITS]-(:Neuron)
WITH case_1, case_2, first, sum(y.weight * y.weight) AS second
// sender by sender: an engine that joins the three neurons at once needs gigabytes
MATCH (b1:Neuron {key: case_1})<-[x:EXCITES|INHIBITS]-(a:Neuron)
WITH case_1, case_2, first, second, a.key AS sender, x.weight AS weight
MATCH (s:Neuron)-[y:EXCITES|INHIBITS]->(b2:Neuron)
WHERE b2.model = $model AND s.key = sender AND b2.key = case_2
WITH case_1, b2.key AS case_2, first, second, sum(weight * y.weight) AS both
WITH case_1, case_2, both / sqrt(first * second) AS fan_in
WHERE round(-fan_in, 9) >= $cosine
// and their whole fan-outs
MATCH (b1:Neuron {key: case_1})-[x:EXCITES|INHIBITS]->(d:Neuron)
WITH case_1, case_2, fan_in, sum(x.polarity * x.polarity * x.share * d.fan_in) AS first
MATCH (b2:Neuron {key: case_2})-[y:EXCITES|INHIBITS]->(d:Neuron)
WITH case_1, case_2, fan_in, first, sum(y.polarity * y.polarity * y.share * d.fan_in) AS second
MATCH (b1:Neuron {key: case_1})-[x:EXCITES|INHIBITS]->(d:Neuron)
WITH case_1, case_2, fan_in, first, second, d.key AS receiver,
     x.polarity * sqrt(x.share * d.fan_in) AS effect
MATCH (b2:Neuron)-[y:EXCITES|INHIBITS]->(e:Neuron)
WHERE e.model = $model AND b2.key = case_2 AND e.key = receiver
WITH case_1, b2.key AS case_2, fan_in, first, second,
     sum(effect * y.polarity * sqrt(y.share * e.fan_in)) AS both
WITH case_1, case_2, fan_in, both / sqrt(first * second) AS fan_out
WHERE round(-fan_out, 9) >= $cosine
RETURN case_1, case_2, fan_in, fan_out,
       CASE WHEN fan_in > fan_out THEN round(-fan_in, 9) ELSE round(-fan_out, 9) END AS score
ORDER BY score DESC, case_1, case_2
LIMIT $limit
