// One hop down: the receivers of each of many neurons.
//
// params:
//   neurons (list of neuron): the sending neurons
//   min_share (float = 0): least share of the receiver's squared fan-in norm
// renamed: least -> min_share
// returns:
//   sender: key of the sending neuron
//   receiver: key of the receiving neuron
//   weight: signed sum of the kernel
//   share: share of the receiver's squared fan-in norm
//   polarity: -1 (only inhibits) to 1 (only excites)
//
// The step of `downstream`.
MATCH (a:Neuron)-[r:EXCITES|INHIBITS]->(b:Neuron)
WHERE a.key IN $neurons AND r.share >= $min_share
RETURN a.key AS sender, b.key AS receiver, r.weight AS weight, r.share AS share, r.polarity AS polarity
ORDER BY sender, share DESC, receiver
