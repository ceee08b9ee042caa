// The neurons of a saved motif, in their roles.
//
// params:
//   motif (string): key of the motif
// returns:
//   role: what the neuron is in the motif
//   position: its place among those of the role, from 0
//   neuron: key of the neuron
//   layer: key of its layer
//   kind: what it responds to, after annotation
//   label: colour of an input channel, class of a logit
MATCH (m:Motif)-[r:HAS_ROLE]->(n:Neuron)
WHERE m.key = $motif
RETURN r.role AS role, r.position AS position, n.key AS neuron, n.layer AS layer, n.kind AS kind,
       n.label AS label
ORDER BY role, position, neuron
