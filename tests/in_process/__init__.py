"""Proofs of the middlewares: the proxy's headers, on real frameworks and servers."""
