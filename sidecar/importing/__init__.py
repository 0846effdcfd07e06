"""Other servers' and frameworks' header settings, as text, turned into a policy. Same floor as
`source`: pure, no I/O.

May import `sidecar.policy` and `sidecar.source`; must not know files, sockets, revisions or the
command line.
"""
