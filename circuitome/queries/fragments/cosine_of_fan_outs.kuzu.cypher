// Cosine of what two neurons send, each weight in units of its receiver's root mean square.
WITH DISTINCT kept
MATCH (b:Neuron {key: one})-[x:EXCITES|INHIBITS]->(d:Neuron)
WITH kept, sum(x.polarity * x.polarity * x.share * d.fan_in) AS norm_1
MATCH (c:Neuron {key: other})-[y:EXCITES|INHIBITS]->(d:Neuron)
WITH kept, norm_1, sum(y.polarity * y.polarity * y.share * d.fan_in) AS norm_2
// receiver by receiver: joined at once, or summed by receiver first, the pairs need gigabytes
MATCH (b:Neuron {key: one})-[x:EXCITES|INHIBITS]->(d:Neuron)
WITH kept, norm_1, norm_2, d.key AS receiver, x.polarity * sqrt(x.share * d.fan_in) AS effect
MATCH (c:Neuron)-[y:EXCITES|INHIBITS]->(e:Neuron)
WHERE e.model = $model AND c.key = other AND e.key = receiver
WITH kept, norm_1, norm_2, sum(effect * y.polarity * sqrt(y.share * e.fan_in)) AS both
WHERE norm_1 * norm_2 > 0
// unwound, or Kuzu takes an aggregate of it for an aggregate in an aggregate
UNWIND [both / sqrt(norm_1 * norm_2)] AS cosine
WITH kept, cosine
