"""A policy as the configuration of another proxy: what it enforces, and a list of what that
proxy cannot say.
"""
