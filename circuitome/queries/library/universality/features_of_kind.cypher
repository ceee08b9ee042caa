// Features of one kind, by depth.
//
// params:
//   kind (string): what they respond to, such as `curve`, or `unexplained`
//   limit (integer = 100): at most so many rows
// returns:
//   feature: key of the feature
//   depth: median relative depth of its neurons
//   models: number of networks
//   size: number of neurons
//   family: transform group that more than half of them have a family of
//   score: mean match of the neurons
MATCH (f:Feature)
WHERE f.source = 'computed' AND f.kind = $kind
RETURN f.key AS feature, f.depth AS depth, f.models AS models, f.size AS size, f.family AS family,
       f.score AS score
ORDER BY depth, models DESC, feature
LIMIT $limit
