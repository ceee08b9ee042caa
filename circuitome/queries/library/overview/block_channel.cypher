// The neuron behind a channel number of a block, as the literature writes it: `mixed3b:379` counts
// after concatenation.
//
// params:
//   model (model): the model
//   block (string): the block's name in the model, such as `inception3b`
//   channel (integer): index after concatenation, from 0
// returns:
//   neuron: key of the neuron
//   layer: key of its layer
//   channel: its index in that layer
MATCH (n:Neuron)-[r:IN_BLOCK]->(b:Block)
WHERE b.model = $model AND b.name = $block AND r.channel = $channel
RETURN n.key AS neuron, n.layer AS layer, n.channel AS channel
ORDER BY neuron
