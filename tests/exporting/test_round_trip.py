"""What is exported can be imported again, and has the same effect, as far as the importers read
what stands there.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.exporting import export
from sidecar.importing.formats import convert
from sidecar.policy.engine.plan import compile_policy
from sidecar.source import load_policy
from tests.exporting.asking import ASKS, FRAMING, by_name, dumped, expected, without
from tests.exporting.origin import RESPONSES
from tests.exporting.policies import HEAD, POLICIES, Policy
from tests.portion import examples

_NAMES = st.sampled_from(("X-Frame-Options", "X-Odd", "Referrer-Policy", "X-Powered-By"))
_RULES = st.one_of(
    st.builds(
        lambda name, value: {"header": name, "action": "set", "value": value},
        _NAMES,
        st.sampled_from(("DENY", "a b", "'x'; \"y\"")),
    ),
    st.builds(lambda name: {"header": name, "action": "remove"}, _NAMES),
)
READ = ("nginx", "apache", "traefik")
"""The targets whose exports importers read: Caddy's is JSON, and what they read of Caddy is a
Caddyfile.
"""
PLAIN = st.dictionaries(st.sampled_from(("a", "b", "c")), _RULES, min_size=1)
"""Rules that hold everywhere: these take no map and no expression."""


@settings(max_examples=examples(50))
@given(rules=PLAIN, target=st.sampled_from(READ))
def test_import_of_an_export(rules: Policy, target: str):
    """Nothing of it is lost, and every response leaves as under the policy that was exported."""
    policy = load_policy(dumped({**HEAD, "rules": rules}).encode(), "policy.yaml")

    imported = convert({"exported": export(policy, target).text}, target)

    back = load_policy(
        imported.policy_yaml.replace("mode: report-only", "mode: enforce", 1).encode(), "back.yaml"
    )
    assert [note for note in imported.notes if note.severity == "warning"] == []
    for one in ASKS:
        lines = RESPONSES[one.response]
        assert by_name(expected(compile_policy(back), one, *lines)) == by_name(
            expected(compile_policy(policy), one, *lines)
        )


@settings(max_examples=examples(200))
@given(policy=POLICIES, target=st.sampled_from(READ))
def test_what_does_not_come_back_is_named(policy: Policy, target: str):
    """Conditions and routes become maps and expressions that importers do not read: then a
    warning says so.
    """
    resolved = load_policy(dumped(policy).encode(), "policy.yaml")
    written = export(resolved, target)

    imported = convert({"exported": written.text}, target)

    if any(note.severity == "warning" for note in imported.notes):
        return
    text = imported.policy_yaml.replace("mode: report-only", "mode: enforce", 1)
    back, left = (
        compile_policy(load_policy(text.encode(), "back.yaml")),
        without(resolved, written.gaps),
    )
    for one in ASKS:
        lines = RESPONSES[one.response]
        theirs, ours = by_name(expected(back, one, *lines)), by_name(expected(left, one, *lines))
        for name in (theirs.keys() | ours.keys()) - FRAMING:
            assert theirs.get(name) == ours.get(name), (name, written.text, imported.policy_yaml)
