// Kuzu reads every edge of the database to find those of a list of neurons, unless it is told to begin at the neurons:
// one hop among 5 million edges takes 0.02 s instead of 0.5 s.
MATCH (a:Neuron)-[r:EXCITES|INHIBITS]->(b:Neuron)
WHERE b.key IN $neurons AND r.rank <= $k AND r.share >= $min_share
HINT (b JOIN r) JOIN a
RETURN a.key AS sender, b.key AS receiver, r.weight AS weight, r.share AS share, r.polarity AS polarity
ORDER BY receiver, share DESC, sender
