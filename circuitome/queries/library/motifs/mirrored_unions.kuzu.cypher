// Kuzu looks an edge up by its two ends where Neo4j walks along one of them: for each pair of
// neurons, sender by sender. Summed as in the other text it holds the senders of all pairs at once,
// more than a gigabyte for SqueezeNet.
MATCH (b:Neuron)-[e:EQUIVARIANT_TO]->(c:Neuron)
WHERE b.model = $model AND c.model = $model AND e.transform = $transform
  AND coalesce(e.q, 1.0) <= $q
WITH DISTINCT CASE WHEN b.key < c.key THEN b.key ELSE c.key END AS case_1,
     CASE WHEN b.key < c.key THEN c.key ELSE b.key END AS case_2
// their whole fan-ins oppose each other
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
WHERE round(-fan_in, 9) >= $opposed
// and their whole fan-outs agree
MATCH (b1:Neuron {key: case_1})-[x:EXCITES|INHIBITS]->(d:Neuron)
WITH case_1, case_2, fan_in, sum(x.polarity * x.polarity * x.share * d.fan_in) AS first
MATCH (b2:Neuron {key: case_2})-[y:EXCITES|INHIBITS]->(d:Neuron)
WITH case_1, case_2, fan_in, first, sum(y.polarity * y.polarity * y.share * d.fan_in) AS second
MATCH (b1:Neuron {key: case_1})-[x:EXCITES|INHIBITS]->(d:Neuron)
WITH case_1, case_2, fan_in, first, second, d.key AS receiver,
     x.polarity * sqrt(x.share * d.fan_in) AS effect
MATCH (b2:Neuron)-[y:EXCITES|INHIBITS]->(u:Neuron)
WHERE u.model = $model AND b2.key = case_2 AND u.key = receiver
WITH case_1, b2.key AS case_2, fan_in, first, second, effect,
     y.polarity * sqrt(y.share * u.fan_in) AS other,
     u.key AS united, y.share * u.fan_in AS size, abs(y.polarity) AS polarity, y.weight AS weight
WITH case_1, case_2, fan_in, first, second, sum(effect * other) AS both,
     collect(CASE WHEN polarity >= $polarity AND size >= $strength AND weight >= 0 THEN united
     ELSE NULL END) AS receivers
WITH case_1, case_2, fan_in, both / sqrt(first * second) AS fan_out, receivers
WHERE round(fan_out, 9) >= $together
// the neurons that the other case strongly excites as well
UNWIND receivers AS receiver
MATCH (b1:Neuron {key: case_1})-[x:EXCITES]->(u:Neuron)
WHERE u.model = $model AND u.key = receiver AND x.share * u.fan_in >= $strength
  AND abs(x.polarity) >= $polarity
WITH case_1, case_2, fan_in, fan_out, collect(u.key) AS receivers
WITH case_1, case_2, fan_in, fan_out, receivers,
     CASE WHEN -fan_in < fan_out THEN round(-fan_in, 9) ELSE round(fan_out, 9) END AS score
ORDER BY score DESC, case_1, case_2
LIMIT $limit
UNWIND receivers AS united
RETURN case_1, case_2, united, case_1 + ' ' + case_2 AS pair, fan_in, fan_out, score
ORDER BY score DESC, case_1, case_2, united
