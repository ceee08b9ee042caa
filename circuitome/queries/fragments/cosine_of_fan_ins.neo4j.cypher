// Cosine of the weights that two neurons read their senders with.
WITH DISTINCT kept
CALL (one, other) {
  UNWIND [one, other] AS side
  MATCH (b:Neuron {key: side})<-[x:EXCITES|INHIBITS]-(a:Neuron)
  WHERE b.model = $model
  WITH a, count(x) AS readers, sum(CASE WHEN side = one THEN x.weight ELSE 0.0 END) AS first,
       sum(CASE WHEN side = other THEN x.weight ELSE 0.0 END) AS second
  WITH max(readers) AS readers, sum(first * second) AS both,
       sum(first * first) * sum(second * second) AS norms
  WHERE readers > 1 AND norms > 0
  RETURN both / sqrt(norms) AS cosine
}
WITH kept, cosine
