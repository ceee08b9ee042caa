// Features found in several networks, those of most networks first.
//
// params:
//   min_networks (integer = 2): in at least so many networks
//   limit (integer = 100): at most so many rows
// renamed: least -> min_networks
// returns:
//   feature: key of the feature
//   models: number of networks
//   size: number of neurons
//   depth: median relative depth of the neurons
//   kind: what more than half of the annotated ones respond to
//   family: transform group that more than half of them have a family of
//   score: mean match of the neurons
//
// `feature_members` gives their addresses. How many there would be by chance says `circuitome
// compare --table`.
MATCH (f:Feature)
WHERE f.source = 'computed' AND f.models >= $min_networks
RETURN f.key AS feature, f.models AS models, f.size AS size, f.depth AS depth, f.kind AS kind,
       f.family AS family,
       f.score AS score
ORDER BY models DESC, score DESC, feature
LIMIT $limit
