// The branches of a model's blocks: parallel paths that meet.
//
// params:
//   model (model): the model
// returns:
//   block: key of the block
//   meets_by: `concat`, `add` or `groups`
//   branch: key of the branch
//   index: position in the block, from 0
//   channels: channels that it hands to the block's end
//   neurons: neurons on the path
MATCH (p:Branch), (b:Block)
WHERE p.model = $model AND p.block = b.key
OPTIONAL MATCH (n:Neuron)-[:IN_BRANCH]->(p)
WITH p, b, count(n) AS neurons
RETURN b.key AS block, b.`join` AS meets_by, p.key AS branch, p.index AS index,
       p.channels AS channels, neurons
ORDER BY block, index, branch
