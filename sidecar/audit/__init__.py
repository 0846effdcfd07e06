"""The audit: responses of any server judged, scored, and turned into policy rules.

- `retrieve` (addresses; all I/O) and `visit` (HAR, raw text) make visits
- `observatory*` and `outcomes`: the Observatory's tests and grades
- `oshp`: OWASP's recommended headers; `asvs`: the controls of ASVS
- `verdicts`: one row for each header, with its rule (`fixes`); `report`: all of a page together
- `first_files`: a first policy, and tests

Imports the policy core and the presets; must not know the proxy, the control plane or telemetry.
"""
