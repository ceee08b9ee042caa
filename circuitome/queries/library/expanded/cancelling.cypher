// Where expanded weights mislead: strong edges whose paths cancel.
//
// The thread's example are the boundary detectors of InceptionV1, whose expanded weights from
// earlier lines nearly vanish (Visualizing Weights, Distill 2021). An edge is here if its share is
// large in spite of that.
//
// params:
//   model (model): the model
//   most (float = 0.1): largest |sum of paths| over sum of |paths|
//   share (float = 0.01): least share of the receiver's squared expanded fan-in norm
//   limit (integer = 20): at most so many rows
// returns:
//   sender: key of the sending neuron
//   receiver: key of the receiving neuron
//   weight: signed sum over all paths
//   cancellation: |sum of paths| over sum of |paths|
//   share: share of the receiver's squared expanded fan-in norm
//   hops: edges of the longest path
MATCH (a:Neuron)-[r:EXPANDED]->(b:Neuron)
WHERE b.model = $model AND r.cancellation <= $most AND r.share >= $share
RETURN a.key AS sender, b.key AS receiver, r.weight AS weight, r.cancellation AS cancellation,
       r.share AS share,
       r.hops AS hops
ORDER BY share DESC, receiver, sender
LIMIT $limit
