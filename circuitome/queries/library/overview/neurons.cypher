// The neurons of a model.
//
// params:
//   model (model): the model
// returns:
//   neuron: key of the neuron
//   layer: key of its layer
//   channel: index in its layer, from 0
//   fan_in: connected senders before pruning
//   bias: folded bias
//   kind: what it responds to, after annotation
MATCH (n:Neuron)
WHERE n.model = $model
RETURN n.key AS neuron, n.layer AS layer, n.channel AS channel, n.fan_in AS fan_in, n.bias AS bias, n.kind AS kind
ORDER BY layer, channel, neuron
