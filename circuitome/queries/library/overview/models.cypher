// The models in the database.
//
// returns:
//   model: key of the model
//   architecture: what was named when it was extracted
//   weights: file name of the weights, `DEFAULT` or `random`
//   task: what it was trained for, where known
//   keep: pruning, a kept share of each receiver's squared norm, or `all`
//   layers: number of layers
//   neurons: number of neurons
//   state: `loading` until every table is in, then `ready`
//
// A model whose state is `loading` was interrupted, or is being loaded now: load its bundle again
// before believing it.
MATCH (m:Model)
OPTIONAL MATCH (l:Layer)-[:OF_MODEL]->(m)
WITH m, count(l) AS layers, coalesce(sum(l.channels), 0) AS neurons
RETURN m.key AS model, m.architecture AS architecture, m.weights AS weights, m.task AS task,
       m.keep AS keep,
       layers, neurons, m.state AS state
ORDER BY model
