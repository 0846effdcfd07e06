"""Helm's own library, which the Python registry brings: a chart linted and rendered as `helm` does
it.

A program of its own, since the library stands in the environment of the other proxies and tools.
Reads JSON on stdin ({"chart", "values", "name", "namespace"}), writes JSON on stdout: {"lint":
[problem], "files": {name: text}} or {"error": text}.
"""

import json
import sys

from helm_python import Chart, lint

asked = json.load(sys.stdin)
found = lint(asked["chart"], values=asked["values"])
problems = [item["error"] for item in found["messages"] if item["severity"] > 1] + found["errors"]
try:
    chart = Chart.load(asked["chart"])
    files = chart.render(asked["values"], name=asked["name"], namespace=asked["namespace"])
    print(json.dumps({"lint": problems, "files": files}))
except Exception as error:  # noqa: BLE001 - its own errors are told apart by nobody here
    print(json.dumps({"lint": problems, "error": str(error)}))
