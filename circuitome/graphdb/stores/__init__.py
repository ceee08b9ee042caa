"""Stores: databases that hold bundles and answer Cypher, behind one small protocol.

A store is one module here that keeps `protocol`; `opening` picks it by the address. Its
`Store.dialect` says which text of a query it takes, and `circuitome.queries.lint` what that dialect
lacks.
"""
