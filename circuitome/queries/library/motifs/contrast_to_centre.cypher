// A centre-surround neuron that reads contrasts around it, each with the right side towards the
// centre.
//
// params:
//   model (model): the model
//   strength (float = 1): least share of an edge, in units of 1 / fan-in of its receiver; 1 is a
//     kernel of the root mean square of the receiver's kernels
//   apart (float = 0.25): least way from what a kernel inhibits to what it excites, pixels
//   min_inputs (integer = 2): least number of such inputs
//   min_score (float = 0.5): least score
//   limit (integer = 100): at most so many centres
// renamed: least -> min_inputs, agreement -> min_score
// roles: centre; contrast
// instance: centre
// returns:
//   centre: key of the centre-surround neuron
//   contrast: key of one contrast that agrees
//   facing: how much its named side faces the centre, -1 to 1; of colours times the cosine of the
//     two hues
//   share: its share of the centre's squared fan-in norm
//   score: mean of `facing` over all such inputs, weighted by share, rounded to nine digits so that
//     both engines order alike
//
// Colour contrasts into a colour centre-surround neuron, and edges and brightness gradients into
// one for brightness. Where a kernel excites (`ex, ey`), the contrast must have its hue towards the
// kernel's centre, and where it inhibits (`ix, iy`), away from it. Both together are the kernel's
// way: the mean of the two places, each weighted by how much of the kernel it is, the second one
// negative. A kernel without a way (1 x 1, or even all around) says nothing and is left out. The
// opposite hue, facing away, is the same contrast and counts alike. Annotation does not tell a
// light centre from a dark one, so for brightness the score is the size of the mean: all must face
// the centre, or all must face away.
//
// A row by itself is **not a finding**: ask for its q (`circuitome motifs contrast_to_centre --null
// 199`).
//
// Source: Olah et al., *Naturally Occurring Equivariance in Neural Networks*, Distill 2020
// (contrast to centre).
MATCH (a:Neuron)-[r:EXCITES|INHIBITS]->(c:Neuron)
WHERE a.model = $model AND c.model = $model AND a.orientation_deg IS NOT NULL
  AND r.share * c.fan_in >= $strength
  AND ((a.kind = 'colour_contrast' AND c.kind = 'colour_centre_surround'
  AND a.hue_deg IS NOT NULL AND c.hue_deg IS NOT NULL)
       OR (a.kind IN stimuli('bright side') AND c.kind = 'centre_surround'))
// (1 + polarity) / 2 is how much of the kernel excites
WITH a, c, r.share AS share,
     (1 + r.polarity) / 2 * coalesce(r.ex, 0.0) - (1 - r.polarity) / 2 * coalesce(r.ix, 0.0) AS x,
     (1 + r.polarity) / 2 * coalesce(r.ey, 0.0) - (1 - r.polarity) / 2 * coalesce(r.iy, 0.0) AS y,
     CASE WHEN c.kind = 'colour_centre_surround' THEN 1 ELSE 0 END AS coloured
WITH a, c, share, x, y, coloured, sqrt(x * x + y * y) AS way,
     CASE WHEN coloured = 1 THEN cos(radians(a.hue_deg - c.hue_deg)) ELSE 1.0 END AS same_hue
WHERE way >= $apart AND way > 0
// y runs down and orientations run counter-clockwise, with the named side to their left
WITH c.key AS centre, coloured, a.key AS contrast, share,
     same_hue * (x * sin(radians(a.orientation_deg))
                 + y * cos(radians(a.orientation_deg))) / way AS facing
WITH centre, coloured, count(contrast) AS number, sum(share * facing) / sum(share) AS mean,
     collect({contrast: contrast, share: share, facing: facing}) AS inputs
WITH centre, number, mean, inputs,
     CASE WHEN coloured = 1 THEN round(mean, 9) ELSE round(abs(mean), 9) END AS score
WHERE number >= $min_inputs AND score >= $min_score
WITH centre, mean, inputs, score
ORDER BY score DESC, centre
LIMIT $limit
UNWIND inputs AS item
WITH centre, item.contrast AS contrast, item.facing AS facing, item.share AS share, mean, score
WHERE facing * mean > 0
RETURN centre, contrast, facing, share, score
ORDER BY score DESC, centre, contrast
