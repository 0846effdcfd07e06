"""Apache's Header statements: what a list of them does to a response of a proxied service.

httpd keeps two tables. What the service sent is in one (`onsuccess`, for any status); `always`
works on the other, which starts empty, and both are sent. So `always set` adds a line beside the
service's own, and `always unset` never touches it. Facts: httpd's documentation of mod_headers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from sidecar.importing.draft import BY_HAND, COOKIE_RULE, FIXED, LISTED, HeaderEffect, Notes, When
from sidecar.importing.regexes import alternatives
from sidecar.importing.syntax import Block, ConfigDirective
from sidecar.policy import headers
from sidecar.policy.terms import Action

_ACTIONS = frozenset(
    ("set", "append", "merge", "add", "unset", "setifempty", "edit", "edit*", "echo", "note")
)
_POLICY_ACTIONS: dict[str, Action] = {
    "set": "set",
    "add": "append",
    "append": "append",
    "merge": "append",
    "unset": "remove",
    "setifempty": "default",
}
TABLES = ("always", "onsuccess")
"""Words that name one of httpd's tables of lines."""
# Lists whose lines a policy can merge member by member, as httpd does.
_LISTS = frozenset(("cache-control", "vary"))
_JOINS = "the policy sends them merged, or on a line of its own"
_COOKIES = (
    "Apache adds these attributes to every cookie; the policy adds Secure on HTTPS only, and leaves"
    " cookies readable that scripts must read"
)
_FILES = (
    "where the service sends no Content-Type, Apache takes one from the file's name; the policy's"
    " condition does not hold there"
)
_EXPR = re.compile(r"%\{(?P<name>\w+)\}\s*(?P<op>==|=~|-eq|>=|-ge)\s*(?P<what>.+)")
_COOKIE_EDIT = re.compile(
    r"\$1\s*((?:;\s*(?:Secure|HttpOnly|Partitioned|SameSite=(?:Strict|Lax|None))\s*)+);?",
    re.IGNORECASE,
)
_ATTRIBUTES = {"secure": "Secure", "httponly": "HttpOnly", "partitioned": "Partitioned"}


@dataclass(frozen=True, slots=True)
class HeaderStatement:
    """One Header statement in parts; `when`: its env= or expr= as a policy's condition."""

    item: ConfigDirective
    always: bool
    action: str
    name: str
    value: str
    when: When


def effects(items: Block, notes: Notes) -> tuple[HeaderEffect, ...]:
    """What Header statements do together: first to the service's lines, then those of `always`."""
    ours: list[HeaderEffect] = []
    beside: list[HeaderEffect] = []
    for item in items:
        cookie = _cookie_edit(item)
        statement = None if cookie else _taken_apart(item, notes)
        if cookie is not None:
            ours.append(cookie)
            notes.differs(item.where, _COOKIES)
        elif statement is None:
            continue
        elif statement.always:
            beside = _always(beside, statement, notes)
        else:
            ours.append(_success(statement, notes))
    return (*ours, *(_one_vary(line, notes) for line in beside))


def _success(statement: HeaderStatement, notes: Notes) -> HeaderEffect:
    """What a statement does to the lines that the service sent."""
    action = _POLICY_ACTIONS[statement.action]
    name, where = statement.name, statement.item.where
    if statement.action in ("append", "merge"):
        known, joins = headers.get(name), f"{name}: Apache joins values by commas on one line;"
        if known is not None and known.single:
            notes.differs(where, f"{joins} the policy sends only this value")
            action = "set"
        else:
            notes.differs(where, f"{joins} {_JOINS}")
            action = "merge" if name.lower() in _LISTS & headers.MERGEABLE else "append"
    value = "" if action == "remove" else statement.value
    effect = HeaderEffect(action, name, value, statement.when, where)
    return _one_vary(effect, notes) if action == "append" else effect


def _one_vary(line: HeaderEffect, notes: Notes) -> HeaderEffect:
    """httpd makes one line of all Vary lines when it sends them."""
    if line.key != "vary":
        return line
    notes.differs(line.where, f"{line.header}: Apache joins all its lines in one; {_JOINS}")
    return replace(line, action="merge")


def _always(
    beside: list[HeaderEffect], statement: HeaderStatement, notes: Notes
) -> list[HeaderEffect]:
    """What a statement does to the lines that httpd keeps beside the service's."""
    line = statement.item.effect("append", statement.name, statement.value, statement.when)
    same = [other for other in beside if other.key == line.key]
    others = [other for other in beside if other.key != line.key]
    if any(other.when != line.when for other in same) and statement.action != "add":
        what = f"Header always {statement.action} {statement.name}"
        message = f"{what} works on a line with other conditions"
        notes.lost(statement.item.where, message, BY_HAND)
        return beside
    if statement.action == "unset":
        return others
    if statement.action == "set" or not same:
        return [*others, line]
    if statement.action == "add":
        return [*beside, line]
    members = [member.strip() for member in same[0].value.split(",")]
    merged = statement.action == "merge" and statement.value in members
    if statement.action == "setifempty" or merged:
        return beside
    longer = replace(same[0], value=f"{same[0].value}, {statement.value}")
    return [longer if other is same[0] else other for other in beside]


def _cookie_edit(item: ConfigDirective) -> HeaderEffect | None:
    """The cookie rule that `Header edit Set-Cookie ^(.*)$ "$1; Secure"` means; else None."""
    args = item.args[1:] if item.args[:1] == ("onsuccess",) else item.args
    if len(args) != 4 or args[0].lower() not in ("edit", "edit*"):
        return None
    if args[1].lower() != "set-cookie":
        return None
    found = _COOKIE_EDIT.fullmatch(args[3].strip())
    if args[2].strip("^$") not in ("(.*)", "(.+)") or found is None:
        return None
    attributes = dict[str, bool | str]()
    for word in filter(None, map(str.strip, found[1].split(";"))):
        name, _, value = word.partition("=")
        attributes[_ATTRIBUTES.get(name.lower(), "SameSite")] = value.capitalize() or True
    return HeaderEffect("set", "*", attributes=tuple(attributes.items()), where=item.where)


_PAIR = re.compile(r"\\\\|%%")
"""What a value of mod_headers writes twice to mean it once; a backslash before others stays."""


def _taken_apart(item: ConfigDirective, notes: Notes) -> HeaderStatement | None:
    where = item.args[0].lower() if item.args else ""
    args = item.args[1:] if where in TABLES else item.args
    action, name, rest = args[0].lower() if args else "", "".join(args[1:2]).rstrip(":"), args[2:]
    value = "" if action == "unset" else "".join(rest[:1])
    when = condition(" ".join(rest if action == "unset" else rest[1:]))
    reason = _reason(action, name, value, when)
    if reason is not None or when is None:
        message, fix = reason or ("", "")
        notes.lost(item.where, f"Header {' '.join(item.args)[:120]}: {message}", fix)
        return None
    if any(key == "content-type" for key, _ in when):
        notes.differs(item.where, f"{name}: {_FILES}")
    text = _PAIR.sub(lambda pair: pair[0][0], value)
    return HeaderStatement(item, where == "always", action, name, text, when)


def _reason(action: str, name: str, value: str, when: When | None) -> tuple[str, str] | None:
    """Why a policy cannot express a statement, and what to do by hand; None = it can."""
    if action not in _ACTIONS or not name:
        return "not a Header statement that httpd knows", "look at the statement"
    if action not in _POLICY_ACTIONS:
        fix = "write a rule with the whole value"
        fix = COOKIE_RULE if name.lower() == "set-cookie" else fix
        return "a policy does not edit parts of a value", fix
    if "*" in name:
        return "names with * cannot be carried", LISTED
    alone = _PAIR.sub("", value)
    if re.search(r"%[^%]|%$|^expr=|\$\{", alone):
        return "a value that httpd computes for each response cannot be carried", FIXED
    if re.search(r"\\[nrt]", alone):
        return "a value with a line end or a tab cannot be carried", FIXED
    if when is None:
        return "no `when` expresses the condition", f"{BY_HAND}, with when: {{...}}"
    return None


def condition(text: str) -> When | None:
    """What `env=...` or `expr=...` says as conditions; () = none, None = a policy has none such."""
    if not text:
        return ()
    if text in ("env=HTTPS", "env=!HTTPS"):
        return (("scheme", "http" if "!" in text else "https"),)
    found = _EXPR.fullmatch(text.removeprefix("expr=").strip())
    if not text.startswith("expr=") or found is None:
        return None
    name, what = found["name"], found["what"].strip().strip("'\"")
    if (name, found["op"], what) in (("HTTPS", "==", "on"), ("REQUEST_SCHEME", "==", "https")):
        return (("scheme", "https"),)
    if name == "REQUEST_STATUS" and re.fullmatch(r"[1-5]\d\d", what):
        if found["op"] in ("==", "-eq"):
            return (("status", (what,)),)
        if found["op"] in (">=", "-ge") and what.endswith("00"):
            return (("status", tuple(f"{digit}xx" for digit in range(int(what[0]), 6))),)
    if name == "CONTENT_TYPE" and found["op"] in ("=~", "=="):
        return _content_type(found["op"], what)
    return None


def _content_type(op: str, what: str) -> When | None:
    found = re.fullmatch(r"(?:m(\W)|(/))(.+)(?:\1|\2)i?", what) if op == "=~" else None
    texts = (what,) if op == "==" else alternatives(found[3]) if found else None
    if texts is None:
        return None
    types: list[str] = []  # text/html as it is, xml as */*xml*
    for text in texts:
        bare = text.strip("*")
        whole = re.fullmatch(r"[\w.+-]+/[\w.+-]+", bare)
        types.append((bare if whole else text if "/" in bare else f"*/{text}").lower())
    known = all(re.fullmatch(r"[\w.+*-]+/[\w.+*-]+", kind) for kind in types)
    return (("content-type", tuple(types)),) if known else None
