// Saved instances of motifs, strongest first.
//
// params:
//   model (model): the model
//   kind (string = ""): only motifs of this kind; all kinds where it is empty
//   limit (integer = 100): at most so many rows
// returns:
//   motif: key of the motif
//   kind: key of its kind
//   score: its score
//   p: p of the instance, where it has one
//   q: q of the instance, where null networks were asked
//   null_model: null model of that
//   parameters: parameters of the search, as JSON
//   roles: role of each member, in order
//   members: keys of what plays a part
//
// `circuitome motifs KIND --save` saves them; `circuitome circuit MOTIF` draws one. They go when
// the bundle of their model is loaded again, for they may not hold of what is then in the database.
MATCH (m:Motif)
WHERE m.model = $model AND ($kind = '' OR m.kind = $kind)
RETURN m.key AS motif, m.kind AS kind, m.score AS score, m.p AS p, m.q AS q, m.`null` AS null_model,
       m.parameters AS parameters, m.roles AS roles, m.members AS members
ORDER BY kind, score DESC, motif
LIMIT $limit
