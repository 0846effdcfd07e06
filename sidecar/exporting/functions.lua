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
  return (line:match("^[ \t]*([^;]-)[ \t]*$") or line:match("^[ \t]*([^;]-)[ \t]*;") or ""):lower()
end
