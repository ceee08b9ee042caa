// The transform groups of the families of neurons that have a mutual match in another network.
//
// params:
//   q (float = 0.05): largest false discovery rate, of the match and of the family
// returns:
//   neuron: key of the neuron
//   family: key of a family that it is in
//   group: transform group of the family
MATCH (a:Neuron)-[r:ANALOGOUS_TO]->(:Neuron)
WHERE r.mutual AND r.q <= $q
WITH DISTINCT a
MATCH (a)-[:MEMBER_OF]->(f:Family)
WHERE coalesce(f.q, 0.0) <= $q AND f.`group` IS NOT NULL
RETURN a.key AS neuron, f.key AS family, f.`group` AS `group`
ORDER BY neuron, family
