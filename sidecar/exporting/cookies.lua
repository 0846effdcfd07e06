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
    local name = line:match("^[ \t]*([^;=]-)[ \t]*=") or ""
    if name:find(pattern) and not (spare and readable(name)) then
      local kept = line:match("^[^;]*")
      for piece in line:gmatch(";([^;]*)") do
        if piece:match("^[ \t]*([^=]-)[ \t]*=") ~= attribute and (piece:match("^[ \t]*([^=]-)[ \t]*$") or ""):lower() ~= attribute
          and (piece:match("^[ \t]*([^=]-)[ \t]*=") or ""):lower() ~= attribute then kept = kept .. ";" .. piece end
      end
      line = text and (kept .. "; " .. text) or kept
    end
    headers:add("set-cookie", line)
  end
end
