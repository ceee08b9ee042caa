// Some neurons, by their keys.
//
// params:
//   neurons (list of neuron): the neurons
// returns:
//   neuron: key of the neuron
//   model: key of its model
//   layer: key of its layer
//   channel: index in its layer, from 0
//   op: its layer's operation
//   label: colour of an input channel, class of a logit
//   kind: what it responds to, after annotation
//   bias: folded bias
//   fan_in: connected senders before pruning
//   dropped: incoming edges that pruning removed
//   kept_mass: share of its squared fan-in norm that the kept edges hold
MATCH (n:Neuron)
WHERE n.key IN $neurons
RETURN n.key AS neuron, n.model AS model, n.layer AS layer, n.channel AS channel, n.op AS op,
       n.label AS label,
       n.kind AS kind, n.bias AS bias, n.fan_in AS fan_in, n.dropped AS dropped,
       n.kept_mass AS kept_mass
ORDER BY neuron
