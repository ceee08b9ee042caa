// Kuzu looks an edge up by its two ends where Neo4j walks along one of them: for each pair of
// neurons, sender by sender. Summed as in the other text it holds the senders of all pairs at once,
// more than a gigabyte for SqueezeNet.
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
WITH case_1, case_2, both / sqrt(first * second) AS cosine
WHERE round(-cosine, 9) >= $cosine
RETURN case_1, case_2, cosine, round(-cosine, 9) AS score
ORDER BY score DESC, case_1, case_2
LIMIT $limit
