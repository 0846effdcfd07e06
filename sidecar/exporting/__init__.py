"""A policy as the configuration of another proxy, and what that proxy cannot express."""
