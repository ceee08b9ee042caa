// A black-and-white against colour detector whose grey inputs have one sign and whose coloured
// inputs the other.
//
// params:
//   model (model): the model
//   strength (float = 1): least share of an edge, in units of 1 / fan-in of its receiver; 1 is a
//     kernel of the root mean square of the receiver's kernels
//   min_score (float = 0.5): least score
//   limit (integer = 100): at most so many detectors
// renamed: agreement -> min_score
// roles: detector; grey; colour
// instance: detector
// returns:
//   detector: key of the detector
//   grey: key of an input that answers what has no colour, of the sign that such inputs have
//   colour: key of an input that answers a colour, of the other sign
//   from_grey: mean polarity of the grey inputs, weighted by share
//   from_colour: the same of the coloured inputs
//   score: twice the share of the weaker side, less what is of the other sign there, over the share
//     of both sides, rounded to nine digits so that both engines order alike; 1 where they weigh
//     the same and each has one sign
//
// Either way round: excited by grey and inhibited by colour, or the reverse. Coloured are `hue`,
// `colour_contrast` and `colour_centre_surround`; grey is every kind whose stimuli have no colour.
// One row a grey and a coloured input.
//
// A row by itself is **not a finding**: ask for its q (`circuitome motifs black_white_vs_colour
// --null 199`).
//
// Source: Olah et al., *Naturally Occurring Equivariance in Neural Networks*, Distill 2020
// (`3a:197,208,210,214`).
MATCH (a:Neuron)-[r:EXCITES|INHIBITS]->(n:Neuron)
WHERE a.model = $model AND n.model = $model AND n.kind = 'bw_vs_colour'
  AND r.share * n.fan_in >= $strength
WITH n.key AS detector, a.key AS input, r.share AS share, r.polarity AS polarity,
     CASE WHEN a.kind IN stimuli('coloured') THEN 1.0 ELSE 0.0 END AS coloured,
     CASE WHEN a.kind IN stimuli('grey') THEN 1.0 ELSE 0.0 END AS plain
WHERE coloured + plain > 0
WITH detector, sum(share * coloured) AS of_colour, sum(share * plain) AS of_grey,
     sum(share * coloured * polarity) AS coloured_sum, sum(share * plain * polarity) AS grey_sum,
     collect({input: input, polarity: polarity, coloured: coloured}) AS inputs
WHERE of_colour > 0 AND of_grey > 0 AND coloured_sum * grey_sum < 0
WITH detector, grey_sum / of_grey AS from_grey, coloured_sum / of_colour AS from_colour, inputs,
     CASE WHEN abs(grey_sum) < abs(coloured_sum)
          THEN round(2 * abs(grey_sum) / (of_grey + of_colour), 9)
          ELSE round(2 * abs(coloured_sum) / (of_grey + of_colour), 9) END AS score
WHERE score >= $min_score
WITH detector, from_grey, from_colour, inputs, score
ORDER BY score DESC, detector
LIMIT $limit
UNWIND inputs AS one
UNWIND inputs AS other
WITH detector, one.input AS grey, other.input AS colour, one.coloured + 1 - other.coloured AS wrong,
     one.polarity AS grey_polarity, other.polarity AS colour_polarity, from_grey, from_colour, score
WHERE wrong = 0 AND grey_polarity * from_grey > 0 AND colour_polarity * from_colour > 0
RETURN detector, grey, colour, from_grey, from_colour, score
ORDER BY score DESC, detector, grey, colour
