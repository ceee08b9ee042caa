// What a neuron reads: its strongest inputs.
//
// params:
//   neuron (neuron): the receiving neuron
//   limit (integer = 20): at most so many rows
// returns:
//   sender: key of the sending neuron
//   effect: `excites` or `inhibits`
//   share: share of the receiver's squared fan-in norm
//   weight: signed sum of the kernel
//   polarity: -1 (only inhibits) to 1 (only excites); near 0 the kernel does both, at different
//     places
//   rank: rank by share in the receiver's fan-in, from 1
//   kind: what the sender responds to, after annotation
//   label: colour of an input channel, class of a logit
MATCH (n:Neuron {key: $neuron})<-[r:EXCITES|INHIBITS]-(a:Neuron)
RETURN a.key AS sender, CASE WHEN r.weight >= 0 THEN 'excites' ELSE 'inhibits' END AS effect,
       r.share AS share,
       r.weight AS weight, r.polarity AS polarity, r.rank AS rank, a.kind AS kind, a.label AS label
ORDER BY share DESC, sender
LIMIT $limit
