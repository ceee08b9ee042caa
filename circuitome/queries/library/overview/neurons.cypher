// The neurons of a model.
//
// params:
//   model (model): the model
// returns:
//   neuron: key of the neuron
//   layer: key of its layer
//   channel: index in its layer, from 0
//   op: what its layer computes: `input`, `conv`, `linear`, `add`, `gate`, `norm` or `readout`
//   fan_in: connected senders before pruning
//   bias: folded bias
//   kind: what it responds to, after annotation
//   orientation_deg: preferred orientation, degrees
//   frequency: preferred spatial frequency, cycles per pixel
//   hue_deg: preferred hue, degrees
//   radius_px: preferred radius, pixels
MATCH (n:Neuron)
WHERE n.model = $model
RETURN n.key AS neuron, n.layer AS layer, n.channel AS channel, n.op AS op, n.fan_in AS fan_in,
       n.bias AS bias, n.kind AS kind,
       n.orientation_deg AS orientation_deg, n.frequency AS frequency, n.hue_deg AS hue_deg,
       n.radius_px AS radius_px
ORDER BY layer, channel, neuron
