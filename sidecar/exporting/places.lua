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
