// Families that lack a member: 0, 90 and 180 degrees are there, 270 is not.
//
// params:
//   model (model): the model
// returns:
//   family: key of the family
//   layer: key of its layer
//   group: transform group, such as `rotate`
//   size: number of members
//   gaps: places where the spacing of the others asks for a member, degrees
//   q: false discovery rate of the family
//   source: `computed` or `curated`
//
// A gap is a place to look, not a finding: the missing neuron may be in another layer, or may not
// be needed.
MATCH (f:Family)
WHERE f.model = $model AND size(f.gaps) > 0
RETURN f.key AS family, f.layer AS layer, f.`group` AS `group`, f.size AS size, f.gaps AS gaps,
       f.q AS q,
       f.source AS source
ORDER BY family
