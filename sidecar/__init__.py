"""Header sidecar: evidence before enforcement, and instant rollback after it.

The rooms, top floor first; imports go down only:

    cli -> service -> proxy | admin | rollout -> revisions | telemetry -> source -> policy

`policy` decides and touches nothing; `source` reads YAML; `revisions` holds what is in force;
`telemetry` tells; `proxy` carries the traffic; `admin` answers operators; `rollout` gathers
evidence; `service` wires them; `cli` is the front door.
"""

__version__ = "0.1.0"
