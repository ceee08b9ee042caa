// The equivariant partners of a neuron: which others are the same feature, transformed.
//
// params:
//   neuron (neuron): the neuron
//   q (float = 1): largest false discovery rate
// returns:
//   partner: key of the other neuron
//   transform: `rotate`, `flip_h`, `flip_v`, `scale`, `hue`, `hue_rotate` or `invert`
//   amount: what turns the neuron into its partner: degrees or octaves
//   turn: of `hue_rotate`, the rotation that goes with the hue, degrees
//   score: correlation of the partner's responses with the neuron's, transformed
//   baseline: the best that the pair reaches without the transform, or either neuron with itself
//   p: p value
//   q: false discovery rate
//   evidence: `responses` or `weights`
//   kind: what the partner responds to
//
// A pair is stored once, from the lower to the higher channel; read from the other end its amount
// changes sign (reflections, inversion and half turns are their own opposite).
MATCH (a:Neuron)-[r:EQUIVARIANT_TO]->(b:Neuron)
WHERE (a.key = $neuron OR b.key = $neuron) AND coalesce(r.q, 1.0) <= $q
WITH CASE WHEN a.key = $neuron THEN b.key ELSE a.key END AS other, r.transform AS transform,
     CASE WHEN a.key = $neuron OR abs(r.amount) = 180.0
     OR r.transform IN ['flip_h', 'flip_v', 'invert']
          THEN r.amount ELSE -r.amount END AS amount,
     CASE WHEN a.key = $neuron OR abs(r.turn) = 180.0 THEN r.turn ELSE -r.turn END AS turn,
     r.score AS score, r.baseline AS baseline, r.p AS p, r.q AS q, r.evidence AS evidence
MATCH (c:Neuron {key: other})
RETURN c.key AS partner, transform, amount, turn, score, baseline, p, q, evidence, c.kind AS kind
ORDER BY score DESC, transform, evidence, coalesce(amount, 0.0), coalesce(turn, 0.0),
         coalesce(q, 2.0), partner
