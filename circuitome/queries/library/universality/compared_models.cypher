// The models that have been compared with one another, each pair both ways.
//
// returns:
//   model: key of the model whose neurons were looked for
//   other: key of the model in which they were
//   layer_pairs: pairs of layers that were compared
//   most_alike: the highest linear CKA of a pair of layers
//
// `circuitome compare BUNDLE BUNDLE --db DB` compares.
MATCH (m:Model)<-[:OF_MODEL]-(:Layer)-[r:ALIGNED_WITH]->(:Layer)-[:OF_MODEL]->(o:Model)
WHERE m <> o
RETURN m.key AS model, o.key AS other, count(r) AS layer_pairs, max(r.cka) AS most_alike
ORDER BY model, other
