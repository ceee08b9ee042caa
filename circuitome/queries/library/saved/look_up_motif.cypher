// Saved motifs, of any model, by the beginning of their keys.
//
// params:
//   motif (string): key of a saved motif, or its beginning
// returns:
//   motif: key of the motif
//   kind: key of its kind
//   title: title of its kind
//   model: key of its model
//   score: its score
//   p: p of the instance, where it has one
//   q: q of the instance, where null networks were asked
//   null_model: null model of that
//   parameters: parameters of the search, as JSON
//   roles: role of each member, in order
//   members: keys of what plays a part
MATCH (m:Motif)-[:OF_KIND]->(k:MotifKind)
WHERE m.key STARTS WITH $motif
RETURN m.key AS motif, m.kind AS kind, k.title AS title, m.model AS model, m.score AS score,
       m.p AS p, m.q AS q,
       m.`null` AS null_model, m.parameters AS parameters, m.roles AS roles, m.members AS members
ORDER BY motif
