// A neuron whose strong inputs fall into two groups that have nothing to do with each other.
//
// params:
//   model (model): the model
//   strength (float = 2): least share of each edge, in units of 1 / fan-in of its receiver
//   polarity (float = 0.2): least |polarity| of each edge
//   alike (float = 0.3): least cosine of the fan-ins of a group's members and of its strongest
//   apart (float = 0.1): members of one group have a smaller cosine than this with the strongest of
//     the other
//   min_inputs (integer = 3): least number of inputs in each group, at least 2
//   limit (integer = 100): at most so many neurons
// renamed: least -> min_inputs
// roles: neuron; group_1; group_2
// instance: neuron
// returns:
//   neuron: key of the neuron
//   group_1: key of a member of the group of its strongest input
//   group_2: key of a member of the other group
//   seed_1: key of the strongest input
//   seed_2: key of the strongest input that is unlike it
//   score: mean cosine of a group's members with its strongest, of the less coherent group, rounded
//     to nine digits so that both engines order alike
//
// Strong excitatory inputs are alike where their own fan-ins agree: the cosine of the weights that
// they read their senders with. Inputs that read nothing in common cannot be compared, and are left
// out. One row a pair of members.
//
// A row by itself is **not a finding**: ask for its q (`circuitome motifs polysemantic_neuron
// --null 199`). And its q says that the inputs are two coherent groups, not that the neuron means
// two things: whoever reads it may need both.
//
// Source: Olah et al., *Zoom In: An Introduction to Circuits*, Distill 2020 (`4e:55`: cat faces,
// fronts of cars, cat legs).
MATCH (a:Neuron)-[r:EXCITES]->(n:Neuron)
WHERE a.model = $model AND n.model = $model AND r.share * n.fan_in >= $strength
  AND abs(r.polarity) >= $polarity
WITH n.key AS neuron, count(r) AS number, min(r.rank) AS strongest
WHERE number >= $min_inputs * 2
// its strongest input, and all of them
MATCH (g:Neuron)-[r:EXCITES]->(n:Neuron {key: neuron})
WHERE r.rank = strongest
WITH neuron, g.key AS seed_1
MATCH (m:Neuron)-[r:EXCITES]->(n:Neuron {key: neuron})
WHERE r.share * n.fan_in >= $strength AND abs(r.polarity) >= $polarity
WITH neuron, seed_1, m.key AS input, r.rank AS place
// how alike each is to the strongest
WITH neuron, seed_1, input, place, cosine_of_fan_ins(seed_1, input) AS like_1
WITH neuron, seed_1, min(CASE WHEN round(like_1, 9) < $apart THEN place ELSE NULL END) AS best,
     collect({input: input, place: place, like_1: like_1}) AS inputs
WHERE best IS NOT NULL
// and to the strongest that is unlike it
UNWIND inputs AS one
UNWIND inputs AS item
WITH neuron, seed_1, one.place AS first, best, one.input AS seed_2, item.input AS input,
     item.like_1 AS like_1
WHERE first = best
WITH neuron, seed_1, seed_2, input, like_1, cosine_of_fan_ins(seed_2, input) AS like_2
WHERE (round(like_1, 9) >= $alike AND round(like_2, 9) < $apart)
   OR (round(like_1, 9) < $apart AND round(like_2, 9) >= $alike)
WITH neuron, seed_1, seed_2, sum(CASE WHEN round(like_1, 9) >= $alike THEN 1 ELSE 0 END) AS size_1,
     sum(CASE WHEN round(like_1, 9) >= $alike THEN 0 ELSE 1 END) AS size_2,
     sum(CASE WHEN round(like_1, 9) >= $alike THEN like_1 ELSE 0.0 END) AS sum_1,
     sum(CASE WHEN round(like_1, 9) >= $alike THEN 0.0 ELSE like_2 END) AS sum_2,
     collect({input: input, like_1: like_1}) AS inputs
WHERE size_1 >= $min_inputs AND size_2 >= $min_inputs AND size_1 > 1 AND size_2 > 1
// each is alike to itself, which says nothing
WITH neuron, seed_1, seed_2, inputs, (sum_1 - 1) / (size_1 - 1) AS mean_1,
     (sum_2 - 1) / (size_2 - 1) AS mean_2
WITH neuron, seed_1, seed_2, inputs,
     CASE WHEN mean_1 < mean_2 THEN round(mean_1, 9) ELSE round(mean_2, 9) END AS score
ORDER BY score DESC, neuron
LIMIT $limit
UNWIND inputs AS one
UNWIND inputs AS other
WITH neuron, one.input AS group_1, one.like_1 AS near, other.input AS group_2, other.like_1 AS far,
     seed_1, seed_2, score
WHERE round(near, 9) >= $alike AND round(far, 9) < $alike
RETURN neuron, group_1, group_2, seed_1, seed_2, score
ORDER BY score DESC, neuron, group_1, group_2
