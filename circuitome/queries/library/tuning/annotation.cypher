// What a neuron does: everything that its annotation says.
//
// params:
//   neuron (neuron): the neuron
// returns:
//   neuron: key of the neuron
//   layer: key of its layer
//   channel: index in its layer, from 0
//   op: its layer's operation
//   label: colour of an input channel, class of a logit
//   annotated: parts of the annotation that its model has
//   kind: best-explaining class of stimuli, `unexplained`, or `silent`
//   explained: share of its variance that the best class of stimuli explains
//   p: p value of that
//   q: false discovery rate of that
//   runner_up: second-best class of stimuli
//   orientation_deg: preferred orientation, degrees
//   frequency: preferred spatial frequency, cycles per pixel
//   hue_deg: preferred hue, degrees
//   radius_px: preferred radius, pixels
//   selectivity: how sharply it is tuned along the main axis of its kind, 0 to 1
//   selectivity_sd: standard error of that
//   tuned_to: axis of its tuning curve
//   tuning_at: places on that axis
//   tuning: mean responses there
//   mean_response: mean over natural-like images
//   sd_response: standard deviation over natural-like images
//   max_response: maximum over natural-like images
//   sparsity: share of positions where it is silent
//   invariance_rotate: correlation with itself under rotation
//   invariance_flip_h: under reflection left to right
//   invariance_flip_v: under reflection top to bottom
//   invariance_scale: under a change of scale
//   invariance_hue: under rotation of hue
//   invariance_invert: under black-white inversion
//   reliability: correlation of its response signature with itself over displaced pictures
//   top_stimuli: what it answers most, in words, strongest first
MATCH (n:Neuron {key: $neuron}), (m:Model)
WHERE m.key = n.model
RETURN n.key AS neuron, n.layer AS layer, n.channel AS channel, n.op AS op, n.label AS label,
       m.annotated AS annotated,
       n.kind AS kind, n.explained AS explained, n.p AS p, n.q AS q, n.runner_up AS runner_up,
       n.orientation_deg AS orientation_deg, n.frequency AS frequency, n.hue_deg AS hue_deg,
       n.radius_px AS radius_px,
       n.selectivity AS selectivity, n.selectivity_sd AS selectivity_sd, n.tuned_to AS tuned_to,
       n.tuning_at AS tuning_at, n.tuning AS tuning, n.mean_response AS mean_response,
       n.sd_response AS sd_response,
       n.max_response AS max_response, n.sparsity AS sparsity,
       n.invariance_rotate AS invariance_rotate,
       n.invariance_flip_h AS invariance_flip_h, n.invariance_flip_v AS invariance_flip_v,
       n.invariance_scale AS invariance_scale, n.invariance_hue AS invariance_hue,
       n.invariance_invert AS invariance_invert, n.reliability AS reliability,
       n.top_stimuli AS top_stimuli
ORDER BY neuron
