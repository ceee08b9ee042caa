// One hop up: the strongest inputs of each of many neurons.
//
// params:
//   neurons (list of neuron): the receiving neurons
//   k (integer = 5): at most so many inputs of each, by rank in its fan-in
//   min_share (float = 0): least share of the receiver's squared fan-in norm
// renamed: least -> min_share
// kuzu: HINT (b JOIN r) JOIN a
// returns:
//   sender: key of the sending neuron
//   receiver: key of the receiving neuron
//   weight: signed sum of the kernel
//   share: share of the receiver's squared fan-in norm
//   polarity: -1 (only inhibits) to 1 (only excites)
//
// The step of `upstream` and `strongest_paths`.
//
// Kuzu reads every edge of the database to find those of a list of neurons, unless it is told to
// begin at the neurons: one hop among 5 million edges takes 0.02 s instead of 0.5 s.
MATCH (a:Neuron)-[r:EXCITES|INHIBITS]->(b:Neuron)
WHERE b.key IN $neurons AND r.rank <= $k AND r.share >= $min_share
RETURN a.key AS sender, b.key AS receiver, r.weight AS weight, r.share AS share,
       r.polarity AS polarity
ORDER BY receiver, share DESC, sender
