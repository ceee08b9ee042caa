// How many strong edges of a network another has between the analogues of their ends, by pairs of
// layers.
//
// params:
//   model (model): the model
// returns:
//   other: key of the other network
//   receivers: key of the layer that the edges go to
//   senders: key of the layer that they come from
//   edges: strong edges whose ends both have an analogue
//   preserved: those that the other network has with the same sign and comparable strength
//   expected: mean of that over rewired copies of the other network
//   sd: its standard deviation
//   p: p value
//   null_model: the null model that explains more of it, of `kernels` and `relabel`
//
// Strong: at least four times an even share of the receiver's fan-in. Comparable: within a factor
// of four. Analogues: mutual best matches at q <= 0.05, both ways.
MATCH (l:Layer)-[r:PRESERVED_IN]->(o:Model)
WHERE l.model = $model
RETURN o.key AS other, l.key AS receivers, r.senders AS senders, r.edges AS edges,
       r.preserved AS preserved,
       r.expected AS expected, r.sd AS sd, r.p AS p, r.`null` AS null_model
ORDER BY other, senders, receivers
