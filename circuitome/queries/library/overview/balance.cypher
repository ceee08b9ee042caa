// Excitation and inhibition of a model, layer by layer.
//
// params:
//   model (model): the model
// returns:
//   index: position in the order of computation, from 0
//   layer: key of the receiving layer
//   edges: kept edges into it
//   excitatory: how many of them excite (their kernel sums to zero or more)
//   excitation: sum of the positive parts of all kernels
//   inhibition: sum of the negative parts, as a positive number
//   balance: (excitation - inhibition) / (excitation + inhibition), -1 to 1
//   mixed: share of the edges whose |polarity| is below 0.2: kernels that do both
//
// Layers without incoming edges (inputs) are left out. Of pruned models only the kept edges count.
MATCH (:Neuron)-[r:EXCITES|INHIBITS]->(n:Neuron)
WHERE n.model = $model
WITH n.layer AS receiver, count(r) AS edges,
     sum(CASE WHEN r.weight >= 0 THEN 1 ELSE 0 END) AS excitatory,
     sum(r.excitation) AS excitation, sum(r.excitation - r.weight) AS inhibition,
     avg(CASE WHEN abs(r.polarity) < 0.2 THEN 1.0 ELSE 0.0 END) AS mixed
MATCH (l:Layer {key: receiver})
RETURN l.index AS index, l.key AS layer, edges, excitatory, excitation, inhibition,
       CASE WHEN excitation + inhibition > 0
            THEN (excitation - inhibition) / (excitation + inhibition) ELSE 0.0 END AS balance,
       mixed
ORDER BY index, layer
