// Kuzu looks an edge up by its two ends where Neo4j walks along one of them: for each pair of
// neurons, sender by sender. Summed as in the other text it holds the senders of all pairs at once,
// more than a gigabyte for SqueezeNet.
MATCH (a:Neuron)-[r:EXCITES]->(n:Neuron)
WHERE a.model = $model AND n.model = $model AND r.share * n.fan_in >= $strength
  AND abs(r.polarity) >= $polarity
WITH n.key AS neuron, count(r) AS number, min(r.rank) AS strongest
WHERE number >= $min_inputs * 2
// its strongest input, and all of them
MATCH (g:Neuron)-[r:EXCITES]->(n:Neuron {key: neuron})
WHERE r.rank = strongest
WITH neuron, g.key AS seed_1
MATCH (m:Neuron)-[r:EXCITES]->(n:Neuron {key: neuron})
WHERE r.share * n.fan_in >= $strength AND abs(r.polarity) >= $polarity
WITH neuron, seed_1, m.key AS input, r.rank AS place
// how alike each is to the strongest
MATCH (m:Neuron {key: input})<-[x:EXCITES|INHIBITS]-(:Neuron)
WITH neuron, seed_1, input, place, sum(x.weight * x.weight) AS own
MATCH (g:Neuron {key: seed_1})<-[x:EXCITES|INHIBITS]-(:Neuron)
WITH neuron, seed_1, input, place, own, sum(x.weight * x.weight) AS other
// sender by sender: an engine that joins the three neurons at once needs gigabytes
MATCH (g:Neuron {key: seed_1})<-[x:EXCITES|INHIBITS]-(a:Neuron)
WITH neuron, seed_1, input, place, own, other, a.key AS sender, x.weight AS weight
MATCH (s:Neuron)-[y:EXCITES|INHIBITS]->(m:Neuron)
WHERE m.model = $model AND s.key = sender AND m.key = input
WITH neuron, seed_1, m.key AS input, place, own, other, sum(weight * y.weight) AS both
WITH neuron, seed_1, min(CASE WHEN round(both / sqrt(own * other), 9) < $apart THEN place
     ELSE NULL END) AS best,
     collect({input: input, place: place, own: own, like_1: both / sqrt(own * other)}) AS inputs
WHERE best IS NOT NULL
// and to the strongest that is unlike it
UNWIND inputs AS one
UNWIND inputs AS item
WITH neuron, seed_1, one.place AS first, best, one.input AS seed_2, one.own AS other,
     item.input AS input, item.own AS own, item.like_1 AS like_1
WHERE first = best
MATCH (g:Neuron {key: seed_2})<-[x:EXCITES|INHIBITS]-(a:Neuron)
WITH neuron, seed_1, seed_2, input, own, other, like_1, a.key AS sender, x.weight AS weight
MATCH (s:Neuron)-[y:EXCITES|INHIBITS]->(m:Neuron)
WHERE m.model = $model AND s.key = sender AND m.key = input
WITH neuron, seed_1, seed_2, m.key AS input, own, other, like_1, sum(weight * y.weight) AS both
WHERE (round(like_1, 9) >= $alike AND round(both / sqrt(own * other), 9) < $apart)
   OR (round(like_1, 9) < $apart AND round(both / sqrt(own * other), 9) >= $alike)
// aggregates of aggregates, so each is written out: an engine takes a name between them for nested
WITH neuron, seed_1, seed_2, sum(CASE WHEN round(like_1, 9) >= $alike THEN 1 ELSE 0 END) AS size_1,
     sum(CASE WHEN round(like_1, 9) >= $alike THEN 0 ELSE 1 END) AS size_2,
     sum(CASE WHEN round(like_1, 9) >= $alike THEN like_1 ELSE 0.0 END) AS sum_1,
     sum(CASE WHEN round(like_1, 9) >= $alike THEN 0.0 ELSE both / sqrt(own * other) END) AS sum_2,
     collect({input: input, like_1: like_1}) AS inputs
WHERE size_1 >= $min_inputs AND size_2 >= $min_inputs AND size_1 > 1 AND size_2 > 1
// each is alike to itself, which says nothing
WITH neuron, seed_1, seed_2, inputs, (sum_1 - 1) / (size_1 - 1) AS mean_1,
     (sum_2 - 1) / (size_2 - 1) AS mean_2
WITH neuron, seed_1, seed_2, inputs,
     CASE WHEN mean_1 < mean_2 THEN round(mean_1, 9) ELSE round(mean_2, 9) END AS score
ORDER BY score DESC, neuron
LIMIT $limit
UNWIND inputs AS one
UNWIND inputs AS other
WITH neuron, one.input AS group_1, one.like_1 AS near, other.input AS group_2, other.like_1 AS far,
     seed_1, seed_2, score
WHERE round(near, 9) >= $alike AND round(far, 9) < $alike
RETURN neuron, group_1, group_2, seed_1, seed_2, score
ORDER BY score DESC, neuron, group_1, group_2
