// How much of a model its annotation explains, layer by layer.
//
// params:
//   model (model): the model
// returns:
//   index: position in the order of computation, from 0
//   layer: key of the layer
//   neurons: neurons that were annotated
//   explained: share of them whose kind is neither `unexplained` nor `silent`
//   unexplained: how many no class of stimuli explains better than null networks do
//   silent: how many never answer
//
// What is not there is part of the answer: no class of stimuli may explain a neuron because it is
// polysemantic, because it wants what no stimulus has, or because its network is random. There are
// no rows before the model is annotated.
MATCH (n:Neuron)
WHERE n.model = $model AND n.kind IS NOT NULL
WITH n.layer AS home, count(n) AS neurons,
     sum(CASE WHEN n.kind = 'unexplained' THEN 1 ELSE 0 END) AS unexplained,
     sum(CASE WHEN n.kind = 'silent' THEN 1 ELSE 0 END) AS silent
MATCH (l:Layer {key: home})
RETURN l.index AS index, l.key AS layer, neurons, l.explained AS explained, unexplained, silent
ORDER BY index, layer
