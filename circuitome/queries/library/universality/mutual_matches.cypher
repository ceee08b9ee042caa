// The mutual matches of all networks that both ends believe, each once: what features are made of.
//
// params:
//   q (float = 0.05): largest false discovery rate, both ways
// returns:
//   first: key of the neuron whose key is the lower
//   second: key of its match
//   score: correlation of the response signatures
//   depth_first: relative depth of the first
//   depth_second: relative depth of the second
//   kind_first: what the first responds to, after annotation
//   kind_second: what the second responds to
MATCH (a:Neuron)-[r:ANALOGOUS_TO]->(b:Neuron)-[s:ANALOGOUS_TO]->(a)
WHERE a.key < b.key AND r.mutual AND r.q <= $q AND s.q <= $q
RETURN a.key AS first, b.key AS second, r.score AS score, r.depth_from AS depth_first,
       r.depth_to AS depth_second,
       a.kind AS kind_first, b.kind AS kind_second
ORDER BY first, second
