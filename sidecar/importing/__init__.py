"""Other servers' header settings, as text, turned into a policy. Pure: no I/O.

May import `sidecar.policy` and `sidecar.source`; must not know files, sockets, revisions or the
command line.
"""
