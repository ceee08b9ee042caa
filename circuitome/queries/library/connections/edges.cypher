// All signed edges of a model that are strong enough.
//
// params:
//   model (model): the model
//   strength (float = 0): least share, in units of 1 / fan-in of the receiver
//   layer (string = ""): only edges into this layer, by its key; all where empty
// returns:
//   sender: key of the sending neuron
//   receiver: key of the receiving neuron
//   weight: signed sum of the kernel
//   share: share of the receiver's squared fan-in norm
//   polarity: -1 (only inhibits) to 1 (only excites)
//   rank: rank by share in the receiver's fan-in, from 1
//   ex: centre of the kernel's positive part, pixels right of its centre
//   ey: the same, pixels below it
//   ix: centre of the negative part, pixels right of the kernel's centre
//   iy: the same, pixels below it
//
// For whoever goes on in numpy; from a bundle the same is read faster. At strength 0 ask layer by
// layer: an engine that sorts millions of rows needs gigabytes.
MATCH (a:Neuron)-[r:EXCITES|INHIBITS]->(b:Neuron)
WHERE b.model = $model AND ($layer = '' OR b.layer = $layer) AND r.share * b.fan_in >= $strength
RETURN a.key AS sender, b.key AS receiver, r.weight AS weight, r.share AS share,
       r.polarity AS polarity, r.rank AS rank,
       r.ex AS ex, r.ey AS ey, r.ix AS ix, r.iy AS iy
ORDER BY receiver, sender
