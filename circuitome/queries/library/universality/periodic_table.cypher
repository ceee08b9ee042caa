// The periodic table: features by depth (rows of the table) and by kind (its columns).
//
// params:
//   min_networks (integer = 2): features of at least so many networks
//   limit (integer = 1000): at most so many rows
// renamed: least -> min_networks
// returns:
//   band: tenth of the relative depth, 0 to 9
//   kind: what more than half of the annotated neurons respond to; empty where that is not known
//   feature: key of the feature
//   models: number of networks
//   size: number of neurons
//   depth: median relative depth of the neurons
//   family: transform group that more than half of them have a family of
//   score: mean match of the neurons
//
// `feature_members` gives their addresses. How many features there would be by chance says
// `circuitome compare --table`.
MATCH (f:Feature)
WHERE f.source = 'computed' AND f.models >= $min_networks
RETURN CASE WHEN f.depth >= 1.0 THEN 9.0 ELSE floor(f.depth * 10.0 + 0.000000001) END AS band,
       coalesce(f.kind, '') AS kind, f.key AS feature, f.models AS models, f.size AS size,
       f.depth AS depth,
       f.family AS family, f.score AS score
ORDER BY band, kind, models DESC, score DESC, feature
LIMIT $limit
