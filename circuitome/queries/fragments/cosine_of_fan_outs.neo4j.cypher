// Cosine of what two neurons send, each weight in units of its receiver's root mean square.
WITH DISTINCT kept
CALL (one, other) {
  UNWIND [one, other] AS side
  MATCH (b:Neuron {key: side})-[x:EXCITES|INHIBITS]->(d:Neuron)
  WHERE b.model = $model
  WITH d, side, x.polarity * sqrt(x.share * d.fan_in) AS effect
  WITH d, count(effect) AS senders, sum(CASE WHEN side = one THEN effect ELSE 0.0 END) AS first,
       sum(CASE WHEN side = other THEN effect ELSE 0.0 END) AS second
  WITH max(senders) AS senders, sum(first * second) AS both,
       sum(first * first) * sum(second * second) AS norms
  WHERE senders > 1 AND norms > 0
  RETURN both / sqrt(norms) AS cosine
}
WITH kept, cosine
