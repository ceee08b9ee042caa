// Strong edges between two layers that another network has, too, between the analogues of their
// ends.
//
// params:
//   senders (layer): layer that the edges come from
//   receivers (layer): layer that they go to
//   strength (float = 4): least share of the receiver's squared fan-in norm, in units of 1 / fan-in
//   factor (float = 4): the other edge's strength lies within this factor, either way
//   q (float = 0.05): largest false discovery rate of the analogues, both ways
//   limit (integer = 100): at most so many rows
// returns:
//   sender: key of the sending neuron
//   receiver: key of the receiving neuron
//   weight: signed sum of the kernel
//   strength: share x fan-in
//   model: key of the other network
//   other_sender: key of the sender's analogue
//   other_receiver: key of the receiver's analogue
//   other_weight: signed sum of the kernel between them
//   other_strength: share x fan-in there
//
// Analogues are mutual best matches. The sign of the weight says whether an edge excites (zero
// does). `preserved_circuits` says how many such edges rewired networks have; a single one is no
// finding.
MATCH (a:Neuron)-[e:EXCITES|INHIBITS]->(b:Neuron)
WHERE a.layer = $senders AND b.layer = $receivers AND e.share * b.fan_in >= $strength
MATCH (a)-[ac:ANALOGOUS_TO]->(c:Neuron)-[ca:ANALOGOUS_TO]->(a)
WHERE ac.mutual AND ac.q <= $q AND ca.q <= $q AND a <> c
MATCH (b)-[bd:ANALOGOUS_TO]->(d:Neuron)-[db:ANALOGOUS_TO]->(b)
WHERE bd.mutual AND bd.q <= $q AND db.q <= $q AND d.model = c.model AND b <> d
MATCH (c)-[f:EXCITES|INHIBITS]->(d)
WHERE (e.weight >= 0.0) = (f.weight >= 0.0) AND f.share * d.fan_in <= $factor * e.share * b.fan_in
  AND e.share * b.fan_in <= $factor * f.share * d.fan_in
RETURN a.key AS sender, b.key AS receiver, e.weight AS weight, e.share * b.fan_in AS strength,
       c.model AS model,
       c.key AS other_sender, d.key AS other_receiver, f.weight AS other_weight,
       f.share * d.fan_in AS other_strength
ORDER BY strength DESC, sender, receiver, other_sender
LIMIT $limit
