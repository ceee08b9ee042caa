"""Questions to a database of connectomes: a library of Cypher, and what loads and runs it.

`database` has the object that users work with; `catalogue` finds queries of `library`; `keys` looks
up keys; `about` and `occurrences` gather what is known of a neuron, a family, a layer, a motif;
`algorithms` has what one query cannot compute; `motifs` the motifs in their array form; `lint` what
a query text must not contain.
"""
