// Features that others have published, with their addresses in other networks: curated, not
// computed.
//
// params:
//   title (string = ""): only features whose name holds this, in small letters; all where it is
//     empty
// returns:
//   feature: key of the feature
//   name: its name
//   models: number of networks
//   size: number of addresses
//   depth: median relative depth of the addresses, where it was published
//   shallowest: least of their depths
//   deepest: greatest of them
//   addresses: `network layer:unit`
//
// `circuitome compare --published DIR --db DB` loads them.
MATCH (f:Feature)
WHERE f.source = 'curated' AND ($title = '' OR lower(f.name) CONTAINS $title)
UNWIND CASE WHEN f.depths IS NULL THEN [f.depth] ELSE f.depths END AS at
WITH f, min(at) AS shallowest, max(at) AS deepest
RETURN f.key AS feature, f.name AS name, f.models AS models, f.size AS size, f.depth AS depth,
       shallowest, deepest,
       f.addresses AS addresses
ORDER BY feature
