"""The graph: its schema, the bundle that holds it on disk, the stores that answer Cypher, and
exports.
"""
