// What pruning removed from a model, layer by layer.
//
// params:
//   model (model): the model
// returns:
//   index: position in the order of computation, from 0
//   layer: key of the receiving layer
//   connected: pairs of neurons with a kernel that is not all zero
//   dropped: how many of these edges pruning removed
//   kept_mass: share of the layer's squared kernel norm whose edges were kept
//   least_kept_mass: the same for the neuron that lost most
//
// All kernels stay in the bundle: pruning removes edges only. `extract --keep all` prunes nothing.
MATCH (n:Neuron)
WHERE n.model = $model AND n.fan_in > 0
WITH n.layer AS receiver, sum(n.fan_in) AS connected, sum(n.dropped) AS dropped,
     min(n.kept_mass) AS least_kept_mass
MATCH (l:Layer {key: receiver})
RETURN l.index AS index, l.key AS layer, connected, dropped, l.kept_mass AS kept_mass,
       least_kept_mass
ORDER BY index, layer
