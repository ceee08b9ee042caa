// The edges between some neurons.
//
// params:
//   neurons (list of neuron): the neurons
// returns:
//   sender: key of the sending neuron
//   receiver: key of the receiving neuron
//   weight: signed sum of the kernel
//   share: share of the receiver's squared fan-in norm
//   polarity: -1 (only inhibits) to 1 (only excites)
//   rank: rank by share in the receiver's fan-in, from 1
//   kernel: row in the bundle's kernel array
MATCH (a:Neuron)-[r:EXCITES|INHIBITS]->(b:Neuron)
WHERE a.key IN $neurons AND b.key IN $neurons
RETURN a.key AS sender, b.key AS receiver, r.weight AS weight, r.share AS share, r.polarity AS polarity, r.rank AS rank,
       r.kernel AS kernel
ORDER BY receiver, share DESC, sender
