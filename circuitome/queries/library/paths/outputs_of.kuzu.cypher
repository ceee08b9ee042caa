// Kuzu reads every edge of the database to find those of a list of neurons, unless it is told to begin at the neurons.
MATCH (a:Neuron)-[r:EXCITES|INHIBITS]->(b:Neuron)
WHERE a.key IN $neurons AND r.share >= $min_share
HINT (a JOIN r) JOIN b
RETURN a.key AS sender, b.key AS receiver, r.weight AS weight, r.share AS share, r.polarity AS polarity
ORDER BY sender, share DESC, receiver
