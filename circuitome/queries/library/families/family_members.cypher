// The members of one family, in the order of their places.
//
// params:
//   family (family): the family
// returns:
//   neuron: key of the member
//   offset: its place in the family: degrees, octaves or parity
//   offset_sd: standard error of that
//   kind: what it responds to
//   orientation_deg: preferred orientation, degrees
//   hue_deg: preferred hue, degrees
//   radius_px: preferred radius, pixels
//
// Offsets are fitted to all members at once and count from the first of them. In a family that
// rotates, preferred orientations follow the offsets: two measurements of one thing.
MATCH (n:Neuron)-[m:MEMBER_OF]->(f:Family {key: $family})
RETURN n.key AS neuron, m.offset AS offset, m.offset_sd AS offset_sd, n.kind AS kind,
       n.orientation_deg AS orientation_deg, n.hue_deg AS hue_deg, n.radius_px AS radius_px
ORDER BY offset, neuron
