"""Header sidecar: evidence before enforcement, and instant rollback after it.

The layers, top first; imports go down only:

    cli -> runtime | suggest -> proxy | admin | rollout | audit | importing | exporting | fleet
        -> revisions | baseline -> telemetry -> source -> policy

`policy` decides and touches nothing: `policy/engine` on `policy/browsers`, `policy/rules`,
`policy/headers` and `policy/csp`. `source` reads YAML; `telemetry` counts and logs; `revisions`
holds what is in force; `baseline` what the service sends; `proxy` carries the traffic; `admin`
serves operators; `rollout` gathers evidence; `suggest` edits a policy by it; `audit` judges a URL;
`importing` and `exporting` read and write other tools' settings; `fleet` shares decisions;
`runtime` is the process; `cli` is the command line.
"""

__version__ = "0.1.0"
