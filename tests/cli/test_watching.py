"""capture and drift: from a running sidecar, from addresses, from archives; what they write and
when they fail.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sidecar.baseline import Baseline
from sidecar.baseline.file import read_baseline, to_data
from sidecar.cli import commands
from sidecar.policy.rules.conditions import Facts
from tests.e2e.canned import Canned
from tests.e2e.conftest import POLICY, start
from tests.e2e.running import Sidecar
from tests.rollout.observing import page, seen

__all__ = ["start"]
FRAMED, CSP = ("X-Frame-Options", "DENY"), ("Content-Security-Policy", "script-src 'nonce-c0ffee'")


def sidecar(*words: str | Path) -> Result:
    """Run one verb in this process."""
    return CliRunner().invoke(commands, [str(word) for word in words], env={"SIDECAR_ADMIN": None})


@contextmanager
def admin(*readings: tuple[Facts, ...]) -> Iterator[str]:
    """An admin API whose tally has seen these responses, one reading for each time that it is
    asked; the last one stays.
    """
    left = [
        json.dumps({"tally": to_data(Baseline(seen(*responses))), "drift": None}).encode()
        for responses in readings
    ]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(200 if self.path == "/api/baseline" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the baseline goes."""
    return tmp_path / "baseline.yaml"


def captured(file: Path, *responses: Facts) -> Path:
    """A baseline of a sidecar that saw these responses."""
    with admin(responses) as url:
        assert sidecar("capture", "--admin", url, "--output", file).exit_code == 0
    return file


def test_capture_writes_the_tally_of_a_running_sidecar(file: Path) -> None:
    """The file says what was seen, from where and by whom, and tells a summary."""
    with admin((page(FRAMED), page(FRAMED, status=404))) as url:
        done = sidecar("capture", "--admin", url, "--output", file)
    made = read_baseline(file.read_bytes(), "b")

    assert done.exit_code == 0, done.output
    assert made.cells == seen(page(FRAMED), page(FRAMED, status=404))
    assert (made.source, bool(made.by), bool(made.made)) == (url, True, True)
    assert [line.split()[:4] for line in done.stdout.splitlines()[1:]] == [
        ["default", "2xx", "html", "1"],
        ["default", "4xx", "html", "1"],
    ]


def test_capture_overwrites_only_by_force(file: Path) -> None:
    """A baseline may hold what somebody accepted: it is not lost by a second capture."""
    captured(file, page(FRAMED))
    before = file.read_bytes()
    with admin((page(),)) as url:
        refused = sidecar("capture", "--admin", url, "--output", file)
        kept = file.read_bytes()
        forced = sidecar("capture", "--admin", url, "--output", file, "--force")

    assert (refused.exit_code, kept, forced.exit_code) == (2, before, 0)
    assert "--force" in refused.stderr
    assert file.read_bytes() != before


def test_capture_of_nothing_writes_nothing(file: Path) -> None:
    """A sidecar that has seen no response gives no baseline."""
    with admin(()) as url:
        done = sidecar("capture", "--admin", url, "--output", file)

    assert (done.exit_code, file.exists()) == (1, False)


def test_capture_asks_addresses(file: Path, tmp_path: Path) -> None:
    """URLs are asked without following redirects; a policy names the routes; queries are not
    kept.
    """
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\nroutes: [{name: api, match: {path: /api/*}}]\n")
    head = (
        b"HTTP/1.1 302 Found\r\nLocation: /login\r\nSet-Cookie: a=1; Secure\r\nSet-Cookie:"
        b" b=2\r\nX-Frame-Options: DENY\r\nContent-Length: 0\r\n\r\n"
    )
    with Canned(head) as service:
        done = sidecar(
            "capture",
            f"{service.url}/api/x?token=c0ffee",
            f"{service.url}/",
            "--policy",
            policy,
            "--output",
            file,
        )
    api, other = read_baseline(file.read_bytes(), "b").cells

    assert done.exit_code == 0, done.output
    assert (api.key, other.key) == (("api", "3xx", "none"), ("default", "3xx", "none"))
    assert api.headers == {
        name: {(value,): 1}
        for name, value in (
            ("content-length", "<token>"),
            ("location", "<path>"),
            ("x-frame-options", "DENY"),
        )
    }
    assert api.cookies == {"a": {("Secure",): 1}, "b": {("",): 1}}
    assert "c0ffee" not in file.read_text()
    assert len(service.requests) == 2


def har(tmp_path: Path, *entries: dict[str, Any]) -> Path:
    """An archive of these entries, beside others that are no responses."""
    path = tmp_path / "site.har"
    path.write_text(
        json.dumps(
            {
                "log": {
                    "entries": [
                        {},
                        {
                            "request": {"url": "data:x", "method": "GET", "headers": []},
                            "response": {"status": 200, "headers": []},
                        },
                        *entries,
                    ]
                }
            }
        )
    )
    return path


def entry(url: str, *headers: tuple[str, str], status: int = 200) -> dict[str, Any]:
    """One exchange of an archive."""
    return {
        "request": {
            "method": "GET",
            "url": url,
            "headers": [{"name": "Cookie", "value": "sid=c0ffee"}],
        },
        "response": {
            "status": status,
            "headers": [{"name": name, "value": value} for name, value in headers],
        },
    }


def test_capture_reads_archives(file: Path, tmp_path: Path) -> None:
    """HAR entries are responses; names in any case, cookies folded by line feeds, pseudo-headers
    left out.
    """
    archive = har(
        tmp_path,
        entry(
            "https://shop.example/a?q=c0ffee",
            ("content-type", "text/html"),
            (":status", "200"),
            ("set-cookie", "a=c0ffee; Secure\nb=c0ffee"),
        ),
        entry("https://shop.example/blocked", status=0),
    )
    done = sidecar("capture", "--har", archive, "--output", file)
    [cell] = read_baseline(file.read_bytes(), "b").cells

    assert done.exit_code == 0, done.output
    assert cell.requests == ("GET https://shop.example/a -> 200",)
    assert (cell.headers, cell.cookies) == (
        {"content-type": {("text/html",): 1}},
        {"a": {("Secure",): 1}, "b": {("",): 1}},
    )
    assert "c0ffee" not in file.read_text()


@pytest.mark.parametrize(
    ("words", "code", "data"),
    [
        (["http://127.0.0.1:1/"], 1, "http://127.0.0.1:1/: no response"),
        (["ftp://a/"], 1, "unknown address 'ftp://a/'; write http://HOST/PATH"),
        (["--admin", "http://127.0.0.1:1"], 1, "no response: connection refused"),
        (
            ["http://127.0.0.1:1/", "--admin", "http://127.0.0.1:1"],
            2,
            "give either a running sidecar",
        ),
        (["--har", "{}"], 1, "is no HTTP archive"),
        (["--har", '{"log": {"entries": [1, {"request": 2}]}}'], 1, "holds no response"),
    ],
)
def test_capture_says_what_it_could_not_ask(
    file: Path, tmp_path: Path, words: list[str], code: int, data: str
) -> None:
    """No response, no archive, two sources: nothing is written, and the cause is reported."""
    if words[0] == "--har":
        archive = tmp_path / "x.har"
        archive.write_text(words[1])
        words = ["--har", str(archive)]
    done = sidecar("capture", *words, "--output", file)

    assert (done.exit_code, file.exists()) == (code, False)
    assert data in done.stderr
    assert ("start the service" in done.stderr) == ("--admin" not in words and "no resp" in data)


def test_drift_prints_the_worst_first_and_fails(file: Path) -> None:
    """Lost protection exits 1; the table says where, what it was, what it is, how often and why."""
    captured(file, page(FRAMED, CSP))
    with admin(
        (
            page(
                ("Content-Security-Policy", "script-src 'nonce-decafe' https://cdn.example"),
                ("Server", "nginx"),
            ),
        )
    ) as url:
        done = sidecar("drift", file, "--admin", url)

    assert done.exit_code == 1
    assert [line.rstrip() for line in done.stdout.splitlines()] == [
        (
            "severity  kind      where             header                   baseline               "
            " now                                         seen    why"
        ),
        (
            "error     weakened  default 2xx html  Content-Security-Policy  script-src 'nonce-...' "
            " script-src 'nonce-...' https://cdn.example  1 of 1  script-src allows more"
        ),
        (
            "error     lost      default 2xx html  X-Frame-Options          DENY                   "
            " (absent)                                    1 of 1  all responses had it"
        ),
        (
            "warning   added     default 2xx html  Server                   (absent)               "
            " nginx                                       1 of 1"
        ),
    ]


FAILS: tuple[tuple[Facts, str, int], ...] = (
    (page(FRAMED), "info", 0),
    (page(FRAMED, ("X-Own", "a")), "info", 1),
    (page(FRAMED, ("X-Own", "a")), "warning", 0),
    (page(FRAMED, ("Server", "a")), "warning", 1),
    (page(FRAMED, ("Server", "a")), "error", 0),
    (page(), "error", 1),
    (page(), "never", 0),
    (page(status=500), "info", 1),
    (page(status=500), "never", 0),
)


@pytest.mark.parametrize(("now", "severity", "code"), FAILS)
def test_drift_fails_on_what_was_asked_for(
    file: Path, now: Facts, severity: str, code: int
) -> None:
    """Findings at or above --fail-on exit 1; so does a comparison that compared nothing."""
    captured(file, page(FRAMED))
    with admin((now,)) as url:
        done = sidecar("drift", file, "--admin", url, "--fail-on", severity)

    assert done.exit_code == code


def test_drift_can_look_at_what_comes_from_now_on(file: Path) -> None:
    """With --for, what the sidecar had seen before does not count."""
    captured(file, page(FRAMED))
    with admin((page(), page(FRAMED)), (page(), page(FRAMED), page(FRAMED))) as url:
        always = sidecar("drift", file, "--admin", url)
    with admin((page(), page(FRAMED)), (page(), page(FRAMED), page(FRAMED))) as url:
        lately = sidecar("drift", file, "--admin", url, "--for", "1ms")

    assert (always.exit_code, lately.exit_code) == (1, 0)
    assert sidecar("drift", file, "--for", "soon").exit_code == 2


def test_drift_as_data(file: Path) -> None:
    """JSON tells the verdict, whether it failed, and every finding."""
    captured(file, page(FRAMED))
    data = []
    for responses in ((page(FRAMED),), (page(),), (page(status=500),)):
        with admin(responses) as url:
            data.append(json.loads(sidecar("drift", file, "--admin", url, "--json").stdout))

    assert [(one["verdict"], one["failed"], len(one["findings"])) for one in data] == [
        ("same", False, 0),
        ("drift", True, 1),
        ("inconclusive", True, 0),
    ]
    assert data[1]["findings"][0]["header"] == "X-Frame-Options"


def test_accepting_writes_who_and_why(file: Path) -> None:
    """--accept takes all differences into the file, with the reason; without a reason it is
    refused.
    """
    captured(file, page(FRAMED))
    file.chmod(0o640)
    with admin((page(("Server", "a")), page(status=404))) as url:
        refused = sidecar("drift", file, "--admin", url, "--accept")
        done = sidecar("drift", file, "--admin", url, "--accept", "--reason", "moved to nginx")
        after = sidecar("drift", file, "--admin", url, "--fail-on", "info")
        again = sidecar("drift", file, "--admin", url, "--accept", "--reason", "nothing")
    made = read_baseline(file.read_bytes(), "b")

    assert (refused.exit_code, done.exit_code, after.exit_code, again.exit_code) == (2, 0, 0, 0)
    [entry_] = made.accepted
    assert (entry_.reason, bool(entry_.by), bool(entry_.at)) == ("moved to nginx", True, True)
    assert entry_.changes == (
        "default 2xx html: X-Frame-Options lost",
        "default 2xx html: Server added",
        "default 4xx html: new",
    )
    assert file.stat().st_mode & 0o777 == 0o640


def test_drift_of_addresses(file: Path) -> None:
    """The same addresses asked again show what changed in between."""
    with Canned(
        b'HTTP/1.1 200 OK\r\nX-Frame-Options: DENY\r\nETag: "a"\r\nContent-Length: 0\r\n\r\n'
    ) as service:
        assert sidecar("capture", service.url, "--output", file).exit_code == 0
        same = sidecar("drift", file, service.url)
        service.response = (
            b'HTTP/1.1 200 OK\r\nX-Frame-Options: SAMEORIGIN\r\nETag: "b"\r\nContent-Length:'
            b" 0\r\n\r\n"
        )
        differs = sidecar("drift", file, service.url)

    assert (same.exit_code, differs.exit_code) == (0, 1)
    assert "nothing differs in 1 kind of response" in same.stdout


def test_a_broken_baseline_is_reported_in_its_place(file: Path) -> None:
    """Line and column, exit 1."""
    file.write_text("version: 1\nmade: a\nby: b\nsource: c\ncells: [{rout: x}]\n")
    done = sidecar("drift", file)

    assert done.exit_code == 1
    assert f"{file}:5:10: error: unknown key 'rout'; did you mean 'route'?" in done.stderr


def test_workers_tally_together(start: Callable[..., Sidecar], file: Path) -> None:
    """Two workers' responses are one tally; a service that loses a header is counted and told by
    the running sidecar.
    """
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nX-Frame-Options: DENY\r\nServer:"
        b" canned\r\nContent-Length: 0\r\n\r\n"
    )
    with Canned(head) as service:
        first = start(POLICY.replace("mode: report-only", "mode: enforce"), service.url, workers=2)
        for _ in range(8):
            assert first.get("/").status == 200
        done = first.verb("capture", "--output", str(file))
        [cell] = read_baseline(file.read_bytes(), "b").cells
        watching = start(POLICY, service.url, baseline=str(file))
        assert watching.get("/").status == 200
        before = watching.ask("/api/baseline").json()["drift"]
        service.response = head.replace(b"X-Frame-Options: DENY\r\n", b"")
        assert watching.get("/").status == 200
        after = watching.ask("/api/baseline").json()["drift"]

    assert done.returncode == 0, done.stderr
    assert (cell.responses, cell.headers["server"], cell.headers["x-frame-options"]) == (
        8,
        {("canned",): 8},
        {("DENY",): 8},
    )
    assert (before["findings"], [found["kind"] for found in after["findings"]]) == ([], ["lost"])
    assert watching.metric("sidecar_drift_total", route="default", kind="lost") == 1
    assert watching.event("baseline.drifted")["header"] == "X-Frame-Options"
