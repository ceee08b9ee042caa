// What reads a neuron: the receivers in which it has the largest share.
//
// params:
//   neuron (neuron): the sending neuron
//   limit (integer = 20): at most so many rows
// returns:
//   receiver: key of the receiving neuron
//   effect: `excites` or `inhibits`
//   share: share of the receiver's squared fan-in norm that this neuron has
//   weight: signed sum of the kernel
//   polarity: -1 (only inhibits) to 1 (only excites); near 0 the kernel does both, at different
//     places
//   rank: rank by share in the receiver's fan-in, from 1
//   kind: what the receiver responds to, after annotation
//   label: colour of an input channel, class of a logit
MATCH (n:Neuron {key: $neuron})-[r:EXCITES|INHIBITS]->(b:Neuron)
RETURN b.key AS receiver, CASE WHEN r.weight >= 0 THEN 'excites' ELSE 'inhibits' END AS effect,
       r.share AS share,
       r.weight AS weight, r.polarity AS polarity, r.rank AS rank, b.kind AS kind, b.label AS label
ORDER BY share DESC, receiver
LIMIT $limit
