"""Questions to a database of connectomes: a library of Cypher, one query a file, and what loads and
runs it.

`database` has the object that people hold; `library` and `catalogue` the queries; `paths` the
algorithms over one-hop queries; `motifs` the motifs with their vectorised twins; `lint` what must
not stand in a query text.
"""
