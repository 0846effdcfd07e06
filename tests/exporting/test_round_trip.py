"""What is exported can be imported again, and has the same effect, as far as the importers read what stands there."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.exporting.targets import export
from sidecar.importing.formats import convert
from sidecar.policy.engine.plan import compile_policy
from sidecar.source import load_policy
from tests.exporting.asking import ASKS, by_name, dumped, expected
from tests.exporting.origin import RESPONSES
from tests.exporting.policies import HEAD, Policy
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
PLAIN = st.dictionaries(st.sampled_from(("a", "b", "c")), _RULES, min_size=1)
"""Rules that hold everywhere: these take no map and no expression."""


@settings(max_examples=examples(50))
@given(rules=PLAIN, target=st.sampled_from(("nginx", "apache")))
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
