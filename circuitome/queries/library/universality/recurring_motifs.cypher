// Saved motifs of a network that recur in another: the analogues of all their neurons play the same
// parts in one there.
//
// params:
//   model (model): the model
//   kind (string = ""): only motifs of this kind; all kinds where it is empty
//   q (float = 0.05): largest false discovery rate of the analogues, both ways
//   limit (integer = 100): at most so many rows
// returns:
//   kind: key of the motif kind
//   motif: key of the motif
//   score: its score
//   members: keys of what plays a part in it
//   model: key of the other network
//   other_motif: key of the motif there
//   other_score: its score
//   other_members: keys of what plays a part there
//
// `circuitome motifs --save` saves them, in both networks; motifs with members that are no neurons
// do not recur by this measure.
MATCH (m:Motif)-[r:HAS_ROLE]->(n:Neuron)-[x:ANALOGOUS_TO]->(o:Neuron)-[y:ANALOGOUS_TO]->(n),
      (w:Motif)-[s:HAS_ROLE]->(o)
WHERE m.model = $model AND ($kind = '' OR m.kind = $kind) AND m <> w AND n <> o AND x.mutual
  AND x.q <= $q AND y.q <= $q
  AND w.kind = m.kind AND s.role = r.role
WITH m, w, count(r) AS shared
WHERE shared = size(m.members) AND shared = size(w.members)
RETURN m.kind AS kind, m.key AS motif, m.score AS score, m.members AS members, w.model AS model,
       w.key AS other_motif,
       w.score AS other_score, w.members AS other_members
ORDER BY kind, score DESC, motif, other_motif
LIMIT $limit
