// What two neurons both read.
//
// params:
//   first (neuron): one receiving neuron
//   second (neuron): another receiving neuron
//   limit (integer = 20): at most so many rows
// returns:
//   sender: key of the neuron that both read
//   agreement: `same` where it excites both or inhibits both, else `opposite`
//   weight_first: signed sum of the kernel into the first
//   weight_second: signed sum of the kernel into the second
//   share_first: share of the first's squared fan-in norm
//   share_second: share of the second's squared fan-in norm
//   least_share: the smaller of the two shares
//
// The strongest common input is the one whose smaller share is largest.
MATCH (b1:Neuron {key: $first})<-[r:EXCITES|INHIBITS]-(a:Neuron)
      -[s:EXCITES|INHIBITS]->(b2:Neuron {key: $second})
WHERE b1.key <> b2.key
RETURN a.key AS sender, CASE WHEN (r.weight >= 0) = (s.weight >= 0) THEN 'same'
       ELSE 'opposite' END AS agreement,
       r.weight AS weight_first, s.weight AS weight_second, r.share AS share_first,
       s.share AS share_second,
       CASE WHEN r.share < s.share THEN r.share ELSE s.share END AS least_share
ORDER BY least_share DESC, sender
LIMIT $limit
