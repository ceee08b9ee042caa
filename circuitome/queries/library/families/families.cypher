// The equivariant families of a model and their members, after annotation.
//
// params:
//   model (model): the model
//   layer (string = ""): only families of this layer, by its key; all where empty
// returns:
//   family: key of the family
//   model: key of the model
//   layer: key of the layer; none for a curated family that spans several
//   name: title, for curated families
//   group: transform group, such as `rotate`
//   size: number of members
//   closure: share of triangles of members whose transforms compose
//   q: false discovery rate of the family
//   source: `computed` or `curated`
//   gaps: places where a member is missing, degrees
//   neuron: key of one member
//   offset: the member's place in the family: degrees, octaves or parity
//
// One row a member. There are none before the model is annotated.
MATCH (n:Neuron)-[m:MEMBER_OF]->(f:Family)
WHERE f.model = $model AND ($layer = '' OR f.layer = $layer)
RETURN f.key AS family, f.model AS model, f.layer AS layer, f.name AS name, f.`group` AS `group`,
       f.size AS size,
       f.closure AS closure, f.q AS q, f.source AS source, f.gaps AS gaps, n.key AS neuron,
       m.offset AS offset
ORDER BY family, offset, neuron
