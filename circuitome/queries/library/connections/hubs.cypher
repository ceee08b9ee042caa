// The neurons that most others read strongly.
//
// params:
//   model (model): the model
//   strength (float = 2): least share of an edge, in units of 1 / fan-in of its receiver
//   limit (integer = 20): at most so many rows
// returns:
//   neuron: key of the sending neuron
//   receivers: neurons that read it at least so strongly
//   excited: how many of them it excites
//   inhibited: how many of them it inhibits
//   reach: sum of its shares in all of them
//   kind: what it responds to, after annotation
//
// An edge of average strength has a share of 1 / fan-in, so `strength` 2 keeps edges twice as
// strong as the average.
MATCH (a:Neuron)-[r:EXCITES|INHIBITS]->(b:Neuron)
WHERE a.model = $model AND r.share * b.fan_in >= $strength
WITH a, count(r) AS receivers, sum(CASE WHEN r.weight >= 0 THEN 1 ELSE 0 END) AS excited,
     sum(CASE WHEN r.weight >= 0 THEN 0 ELSE 1 END) AS inhibited, sum(r.share) AS reach
RETURN a.key AS neuron, receivers, excited, inhibited, reach, a.kind AS kind
ORDER BY receivers DESC, neuron
LIMIT $limit
