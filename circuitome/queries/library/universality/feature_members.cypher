// The neurons of a feature: its address in every network that has it.
//
// params:
//   feature (string): key of the feature, such as `u1`
// returns:
//   model: key of the network
//   neuron: key of the neuron
//   layer: key of its layer
//   depth: relative depth
//   kind: what it responds to, after annotation
//   orientation_deg: preferred orientation, degrees
//   hue_deg: preferred hue, degrees
//   score: its mean match with the others
MATCH (n:Neuron)-[r:INSTANCE_OF]->(f:Feature)
WHERE f.key = $feature
RETURN n.model AS model, n.key AS neuron, n.layer AS layer, n.depth AS depth, n.kind AS kind,
       n.orientation_deg AS orientation_deg, n.hue_deg AS hue_deg, r.score AS score
ORDER BY model, neuron
