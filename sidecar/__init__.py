"""Header sidecar: evidence before enforcement, and instant rollback after it.

The layers, top first; imports go down only:

    cli -> service -> proxy | admin | rollout | audit | importing | exporting | fleet -> revisions -> telemetry -> source -> policy

`policy` decides and touches nothing; `source` reads YAML; `telemetry` counts and logs; `revisions` holds
what is in force; `proxy` carries the traffic; `admin` serves operators; `rollout` gathers evidence; `audit`
judges a URL; `importing` reads other tools' settings and `exporting` writes them; `fleet` shares decisions with other
replicas; `service` wires them; `cli` is the command line.
"""

__version__ = "0.1.0"
