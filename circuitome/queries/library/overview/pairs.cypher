// Pairs of layers: who reads whom, through what, and what pruning kept of it.
//
// params:
//   model (model): the model
// returns:
//   sender: key of the layer that is read
//   receiver: key of the layer that reads it
//   through: operations on the way
//   linearised: whether the edges take more than a ReLU for linear
//   edges: edges that were kept
//   dropped: edges that pruning removed
//   kept_mass: share of the squared kernel norm whose edges were kept
//   index: place of the receiver in the order of computation
MATCH (a:Layer)-[r:NEXT]->(b:Layer)
WHERE b.model = $model
RETURN a.key AS sender, b.key AS receiver, r.through AS through, r.linearised AS linearised,
       r.edges AS edges,
       r.dropped AS dropped, r.kept_mass AS kept_mass, b.index AS index
ORDER BY index, sender
