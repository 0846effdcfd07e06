"""The audit: responses of any server judged, scored, and turned into policy rules.

- `retrieve` (addresses; all I/O) and `recording` (HAR, raw text) make visits: `visit`
- `observatory*` and `outcomes`: the Observatory's tests and grades; `page` reads the HTML
- `oshp`: OWASP's recommended headers; `asvs`, `asvs_report`: the controls of ASVS
- `verdicts`: one row for each header, with its rule (`fixes`); `report`: all of a page together
- `draft`, `first_files`: a first policy, and tests; `sarif`: reports for code scanning

Imports the policy core and the presets; must not know the proxy, the control plane or telemetry.
"""
