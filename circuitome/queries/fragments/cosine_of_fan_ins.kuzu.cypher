// Cosine of the weights that two neurons read their senders with.
WITH DISTINCT kept
MATCH (b:Neuron {key: one})<-[x:EXCITES|INHIBITS]-(:Neuron)
WITH kept, sum(x.weight * x.weight) AS norm_1
MATCH (c:Neuron {key: other})<-[y:EXCITES|INHIBITS]-(:Neuron)
WITH kept, norm_1, sum(y.weight * y.weight) AS norm_2
// sender by sender: joined at once, or summed by sender first, the pairs need gigabytes
MATCH (b:Neuron {key: one})<-[x:EXCITES|INHIBITS]-(a:Neuron)
WITH kept, norm_1, norm_2, a.key AS sender, x.weight AS weight
MATCH (s:Neuron)-[y:EXCITES|INHIBITS]->(c:Neuron)
WHERE c.model = $model AND s.key = sender AND c.key = other
WITH kept, norm_1, norm_2, sum(weight * y.weight) AS both
WHERE norm_1 * norm_2 > 0
// unwound, or Kuzu takes an aggregate of it for an aggregate in an aggregate
UNWIND [both / sqrt(norm_1 * norm_2)] AS cosine
WITH kept, cosine
