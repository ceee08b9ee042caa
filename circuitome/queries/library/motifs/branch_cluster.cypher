// A group of neurons that is concentrated in one branch of a block.
//
// params:
//   model (model): the model
//   grouping (string = "family"): what makes a group: `family`, or `kind` after annotation
//   min_size (integer = 3): least size of a group in the block
//   limit (integer = 100): at most so many rows
// renamed: least -> min_size
// roles: group; branch
// returns:
//   group: key of the family, or name of the kind
//   branch: key of the branch
//   block: key of the block
//   observed: members of the group at the end of the branch
//   group_size: members at the end of the whole block
//   branch_size: neurons that the branch hands to the block's end
//   block_size: neurons that all branches hand to it
//   score: observed less expected, in standard deviations, rounded to nine digits so that both
//     engines order alike
//
// One row a group and branch, also where the branch has none of the group: all of them are tested.
// Expected is what drawing `group_size` neurons of the block at random gives (hypergeometric).
// `unexplained` and `silent` are no kinds here. Nor are families that annotation finds: it looks in
// one layer at a time, so each is in one branch by construction.
//
// The counts are **not a finding**: ask for p and q (`circuitome motifs branch_cluster`), over all
// rows. And a finding says where a group is, not that training put it there: branches of one shape
// on random weights differ, too.
//
// Source: Voss et al., *Branch Specialization*, Distill 2021 (9 of 9 black-and-white vs colour in
// `mixed3a_5x5`).
MATCH (n:Neuron)-[i:IN_BLOCK]->(b:Block), (n)-[:IN_BRANCH]->(p:Branch)
WHERE b.model = $model AND n.model = $model AND p.block = b.key AND i.channel IS NOT NULL
WITH DISTINCT b.key AS block, p.key AS branch, n.key AS neuron
WITH block, branch, count(neuron) AS branch_size
WITH block, count(branch) AS paths, sum(branch_size) AS block_size,
     collect({key: branch, size: branch_size}) AS branches
WHERE paths > 1
// the groups of the same neurons, each with the branch that every member is in
MATCH (m:Neuron)-[j:IN_BLOCK]->(c:Block), (m)-[:IN_BRANCH]->(own:Branch)
WHERE m.model = $model AND c.key = block AND own.block = block AND j.channel IS NOT NULL
OPTIONAL MATCH (m)-[:MEMBER_OF]->(f:Family)
WHERE $grouping = 'family' AND (coalesce(f.source, 'curated') <> 'computed' OR f.layer IS NULL)
WITH DISTINCT block, block_size, branches, own.key AS path, m.key AS neuron,
     CASE WHEN $grouping = 'family' THEN f.key
          WHEN $grouping = 'kind' AND m.kind <> 'unexplained' AND m.kind <> 'silent' THEN m.kind
          ELSE NULL END AS member_of
WHERE member_of IS NOT NULL
WITH block, block_size, branches, member_of, count(neuron) AS group_size, collect(path) AS homes
WHERE group_size >= $min_size
UNWIND branches AS place
UNWIND homes AS home
WITH block, block_size, member_of, group_size, place.key AS branch, place.size AS branch_size,
     sum(CASE WHEN home = place.key THEN 1 ELSE 0 END) AS observed
WITH block, block_size, member_of, group_size, branch, branch_size, observed,
     1.0 * group_size * branch_size / block_size AS expected,
     1.0 * (block_size - branch_size) / block_size
       * (block_size - group_size) / (block_size - 1.0) AS left_over
RETURN member_of AS `group`, branch, block, observed, group_size, branch_size, block_size,
       CASE WHEN left_over > 0
            THEN round((observed - expected) / sqrt(expected * left_over), 9) ELSE 0.0 END AS score
ORDER BY score DESC, `group`, branch
LIMIT $limit
