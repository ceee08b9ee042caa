// The neurons of one kind, those that it explains best first.
//
// params:
//   model (model): the model
//   kind (string): a class of stimuli, such as `curve`; or `unexplained`, `silent`
//   lowest (float = 0): lowest preferred orientation, degrees
//   highest (float = 360): highest preferred orientation, degrees; below `lowest` the range goes
//     through 0
//   limit (integer = 100): at most so many rows
// returns:
//   neuron: key of the neuron
//   layer: key of its layer
//   orientation_deg: preferred orientation, degrees
//   frequency: preferred spatial frequency, cycles per pixel
//   hue_deg: preferred hue, degrees
//   radius_px: preferred radius, pixels
//   explained: share of its variance that the best class of stimuli explains
//   selectivity: how sharply it is tuned along the main axis of its kind, 0 to 1
//   q: false discovery rate
//
// Orientations run counter-clockwise; with a range, neurons without an orientation are left out.
// There are no rows before the model is annotated.
MATCH (n:Neuron)
WHERE n.model = $model AND n.kind = $kind
  AND (($lowest <= 0.0 AND $highest >= 360.0)
       OR ($lowest <= $highest AND n.orientation_deg >= $lowest AND n.orientation_deg <= $highest)
       OR ($lowest > $highest AND (n.orientation_deg >= $lowest OR n.orientation_deg <= $highest)))
RETURN n.key AS neuron, n.layer AS layer, n.orientation_deg AS orientation_deg,
       n.frequency AS frequency,
       n.hue_deg AS hue_deg, n.radius_px AS radius_px, n.explained AS explained,
       n.selectivity AS selectivity, n.q AS q
ORDER BY explained DESC, neuron
LIMIT $limit
