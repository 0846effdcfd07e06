"""The audit: a response of any server judged as the policy linter would judge it, scored, and
answered with rules.

    retrieve   addresses -> visits (all I/O)          recording  HAR or raw text -> visits visit
    the nouns: Response, Visit               page       scripts and policies in the HTML outcomes
    twelve tests, points, grades           observatory, observatory_csp, observatory_page  the tests
    coverage   OWASP's recommended headers            verdicts   one row for each header, with its
    fix report     all of it about one page               draft      reports -> a first report-only
    policy markdown, sarif   reports as text for machines

Imports the policy core and the presets; must not know the proxy, the control plane or telemetry.
"""
