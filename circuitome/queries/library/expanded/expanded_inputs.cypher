// What a neuron reads across a bottleneck or a residual addition: its strongest expanded inputs.
//
// params:
//   neuron (neuron): the receiving neuron
//   cancellation (float = 0.0): leave out edges whose paths cancel more than this: |sum| over sum
//     of |paths|
//   limit (integer = 20): at most so many rows
// returns:
//   sender: key of the sending neuron
//   effect: `excites` or `inhibits`
//   share: share of the receiver's squared expanded fan-in norm
//   weight: signed sum over all paths
//   cancellation: near 0 the paths cancel, and the weight misleads; 1 where they agree
//   hops: edges of the longest path
//   linearised: whether a nonlinearity on the way was taken for linear
MATCH (n:Neuron {key: $neuron})<-[r:EXPANDED]-(a:Neuron)
WHERE r.cancellation IS NULL OR r.cancellation >= $cancellation
RETURN a.key AS sender, CASE WHEN r.weight >= 0 THEN 'excites' ELSE 'inhibits' END AS effect,
       r.share AS share,
       r.weight AS weight, r.cancellation AS cancellation, r.hops AS hops,
       r.linearised AS linearised
ORDER BY share DESC, sender
LIMIT $limit
