"""Answers that no query can give: algorithms over one-hop queries."""
