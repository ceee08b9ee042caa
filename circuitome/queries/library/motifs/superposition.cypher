// A neuron that is spread over several hosts, none of which is mainly about it.
//
// params:
//   model (model): the model
//   strength (float = 2): least share of an edge into a host, in units of 1 / fan-in of the host
//   polarity (float = 0.2): least |polarity| of an edge into a host
//   hosts (integer = 3): least number of hosts
//   limit (integer = 20): at most so many features
// roles: feature; host
// instance: feature
// returns:
//   feature: key of the sending neuron
//   host: key of one host that it excites
//   share: share of the host's squared fan-in norm that the feature has
//   rank: rank of the feature in the host's fan-in: never 1
//   spread: effective number of hosts, (sum of shares)^2 / sum of squared shares
//   score: the spread, rounded to nine digits so that both engines order alike
//
// One row a feature and host. The feature is the main input (rank 1) of no neuron at all, so
// wherever it goes, some other neuron comes first.
//
// The bare form, from edges alone: a ranked list of candidates, **not a finding**. That the hosts'
// main inputs are one coherent group needs their fan-ins and is not asked here; and on SqueezeNet
// 1.1 and 1.0 even the literal form (with it) is no more frequent than in rewired networks. Another
// motif is: a feature that is spread out and *read back* by the next layer. But a hardly trained
// network has that as well (`superposition_read_back`).
//
// Source: Olah et al., *Zoom In: An Introduction to Circuits*, Distill 2020 (car: `4c:447 ->
// 4d:241,277,417`); the effective number is the participation ratio, as in Elhage et al., *Toy
// Models of Superposition*, 2022.
MATCH (f:Neuron)-[r:EXCITES|INHIBITS]->(h:Neuron)
WHERE f.model = $model
WITH f, min(r.rank) AS best,
     sum(CASE WHEN r.weight >= 0 AND r.share * h.fan_in >= $strength
     AND abs(r.polarity) >= $polarity
         THEN 1 ELSE 0 END) AS number,
     sum(CASE WHEN r.weight >= 0 AND r.share * h.fan_in >= $strength
     AND abs(r.polarity) >= $polarity
         THEN r.share ELSE 0.0 END) AS total,
     sum(CASE WHEN r.weight >= 0 AND r.share * h.fan_in >= $strength
     AND abs(r.polarity) >= $polarity
         THEN r.share * r.share ELSE 0.0 END) AS squares
WHERE best > 1 AND number >= $hosts
WITH f, total * total / squares AS spread, round(total * total / squares, 9) AS score
ORDER BY score DESC, f.key
LIMIT $limit
MATCH (f)-[r:EXCITES]->(h:Neuron)
WHERE r.share * h.fan_in >= $strength AND abs(r.polarity) >= $polarity
RETURN f.key AS feature, h.key AS host, r.share AS share, r.rank AS rank, spread, score
ORDER BY score DESC, feature, host
