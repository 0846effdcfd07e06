"""Lua for Envoy's filter: the texts, patterns (without alternatives) and conditions of a script."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sidecar.policy.rules.classes import MEDIA
from sidecar.policy.rules.matching import host_name
from sidecar.policy.rules.paths import decoded

_SPECIAL = re.compile(r"[\^$()%.\[\]*+\-?]")

FUNCTIONS = """\
local function any(text, patterns)
  for _, pattern in ipairs(patterns) do
    if text:find(pattern) then return true end
  end
  return false
end

local function lines(headers, name)
  local found = {}
  for at = 0, headers:getNumValues(name) - 1 do found[#found + 1] = headers:getAtIndex(name, at) end
  return found
end

local function some(headers, name, pattern)
  for _, line in ipairs(lines(headers, name)) do
    if line:lower():find(pattern) then return true end
  end
  return false
end

local function stands(headers, name, value)
  for _, line in ipairs(lines(headers, name)) do
    if line == value then return true end
  end
  return false
end

local function word(headers, name)
  local line = headers:getAtIndex(name, 0) or ""
  return (line:match("^[ \\t]*([^;]-)[ \\t]*$") or line:match("^[ \\t]*([^;]-)[ \\t]*;") or ""):lower()
end
"""  # noqa: E501
"""Of header lines: `any` pattern in a text, the `lines` of a name, whether `some` line has a
pattern, whether a line `stands` there, and the first `word` of the first line, as a media type.
"""

PLACES = """\
local LEAVES = {}
for leaf in ([[docs docs/oauth2-redirect redoc apidoc apidocs api-docs swagger swagger/index.html swagger/oauth2-redirect.html swagger.html
  swagger-ui swagger-ui/index.html swagger-ui/oauth2-redirect.html swagger-ui.html openapi.json openapi.yaml openapi.yml
  swagger.json swagger.yaml swagger.yml]]):gmatch("%S+") do LEAVES[leaf] = true end
local STEMS = {"^/api(/.*)$", "^/rest(/.*)$", "^/schema(/.*)$", "^/v%d%d?%d?%d?(/.*)$", "^/v%d%d?%d?%d?%.%d%d?%d?%d?(/.*)$"}

local function is_docs(path)
  path = path:lower():gsub("(.)/$", "%1")
  for depth = 0, 4 do
    if LEAVES[path:sub(2)] then return true end
    local rest
    for _, stem in ipairs(STEMS) do rest = rest or path:match(stem) end
    if not rest then return false end
    path = rest
  end
  return false
end

local function is_logout(path)
  local last = path:lower():gsub("(.)/$", "%1"):match("[^/]*$")
  last = last:match("^(.*)%.%l%l?%l?%l?%l?$") or last
  return any(last, {"^log[-_]?out$", "^log[-_]?off$", "^sign[-_]?out$", "^sign[-_]?off$"})
end
"""  # noqa: E501
"""Where API documentation and logouts are, as in `policy.rules.classes`."""

COOKIES = """\
local function readable(name)
  name = name:lower()
  for _, prefix in ipairs({"__host-http-", "__host-", "__http-", "__secure-"}) do
    if name:sub(1, #prefix) == prefix then name = name:sub(#prefix + 1) break end
  end
  return any(name, {"^csrf", "^xsrf", "^x%-csrf", "^x%-xsrf", "^_xsrf"})
end

local function cookies(headers, pattern, attribute, text, spare)
  local found = lines(headers, "set-cookie")
  headers:remove("set-cookie")
  for _, line in ipairs(found) do
    local name = line:match("^[ \\t]*([^;=]-)[ \\t]*=") or ""
    if name:find(pattern) and not (spare and readable(name)) then
      local kept = line:match("^[^;]*")
      for piece in line:gmatch(";([^;]*)") do
        if piece:match("^[ \\t]*([^=]-)[ \\t]*=") ~= attribute and (piece:match("^[ \\t]*([^=]-)[ \\t]*$") or ""):lower() ~= attribute
          and (piece:match("^[ \\t]*([^=]-)[ \\t]*=") or ""):lower() ~= attribute then kept = kept .. ";" .. piece end
      end
      line = text and (kept .. "; " .. text) or kept
    end
    headers:add("set-cookie", line)
  end
end
"""  # noqa: E501
"""One attribute of all cookies whose names match: removed, and a given text written at the end."""


def text(value: str) -> str:
    """A string of Lua."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    return f'"{escaped}"'


def literal(value: str) -> str:
    """The text itself, in a pattern."""
    return _SPECIAL.sub(r"%\g<0>", value)


def glob(value: str, gap: str = ".*") -> str:
    """A text in which * stands for any run, from end to end."""
    return f"^{gap.join(literal(part) for part in re.split(r'[*]+', value))}$"


def host(pattern: str) -> str:
    """A host name."""
    return f"^{'.+'.join(literal(part) for part in host_name(pattern).split('*'))}$"


def path(pattern: str, slash: str) -> str:
    """A path: * within one segment, ** any rest; `slash` is what a slash may be."""
    chunks = re.split(r"\*\*+", pattern)
    inner = ".*".join(
        "[^/]*".join(literal(decoded(part)).replace("/", slash) for part in chunk.split("*"))
        for chunk in chunks
    )
    return f"^{inner}$"


def table(patterns: Iterable[str]) -> str:
    """A list of texts."""
    return f"{{{', '.join(map(text, patterns))}}}"


def media(types: Iterable[str]) -> str:
    """Whether the response's media type is one of these."""
    return f'any(word(headers, "content-type"), {table(glob(one) for one in types)})'


def classes() -> str:
    """The function that returns the class of a response."""
    cases = "\n  else".join(
        f"if any(type, {table(map(glob, types))}) then found = {text(name)}"
        for name, types in MEDIA
    )
    return f"""\
local function class_of(headers, path)
  if word(headers, "content-disposition") == "attachment" then return "download" end
  local type, found = word(headers, "content-type"), ""
  {cases}
  end
  if (found == "html" or found == "api") and is_docs(path) then return "docs" end
  return found
end
"""
