// How often each motif occurs in a model, and what null networks say of that: as saved.
//
// params:
//   model (model): the model
// returns:
//   kind: key of the motif kind
//   instances: number of instances
//   strongest: highest score
//   q: least q of an instance
//   q_null: null model of that
//   p: p of the number of instances
//   null_model: null model of that
//   null_mean: mean number in its null networks
//   null_sd: standard deviation of that
//   nulls: number of null networks of each null model
//   seed: seed of the null networks
//   parameters: parameters of the search, as JSON
//
// q says how believable the best instance is, p whether the model holds more of them than its
// wiring explains: never the one for the other. `circuitome motifs --save` saves them for all
// motifs.
MATCH (k:MotifKind)-[e:ENRICHED_IN]->(m:Model)
WHERE m.key = $model
RETURN k.key AS kind, e.instances AS instances, e.strongest AS strongest, e.q AS q,
       e.q_null AS q_null, e.p AS p,
       e.`null` AS null_model, e.null_mean AS null_mean, e.null_sd AS null_sd, e.nulls AS nulls,
       e.seed AS seed,
       e.parameters AS parameters
ORDER BY kind
