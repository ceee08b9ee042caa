// The families that a neuron is in.
//
// params:
//   neuron (neuron): the neuron
// returns:
//   family: key of the family
//   name: title, for curated families
//   group: transform group, such as `rotate`
//   offset: the neuron's place in the family: degrees, octaves or parity
//   offset_sd: standard error of that
//   size: number of members
//   q: false discovery rate of the family
//   source: `computed` or `curated`
MATCH (n:Neuron {key: $neuron})-[m:MEMBER_OF]->(f:Family)
RETURN f.key AS family, f.name AS name, f.`group` AS `group`, m.offset AS offset,
       m.offset_sd AS offset_sd,
       f.size AS size, f.q AS q, f.source AS source
ORDER BY family
