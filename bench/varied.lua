-- Requests as browsers send them through a load balancer, no two alike: paths, cookies, ids and referrers differ.
local DIGITS = "0123456789abcdef"
local MANY = 20000
local made, at = {}, 0

local function hex(length)
    local parts = {}
    for index = 1, length do
        local digit = math.random(#DIGITS)
        parts[index] = DIGITS:sub(digit, digit)
    end
    return table.concat(parts)
end

local function address()
    return "10." .. math.random(255) .. "." .. math.random(255) .. "." .. math.random(255)
end

function init()
    math.randomseed(20261129)
    for index = 1, MANY do
        made[index] = table.concat({
            "GET /varied/" .. math.random(5000) .. "?q=" .. hex(6) .. " HTTP/1.1",
            "Host: shop.example.com",
            "X-Forwarded-For: " .. address(),
            "X-Forwarded-Proto: https",
            "X-Request-ID: " .. hex(32),
            "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/"
                .. (120 + math.random(20)) .. ".0.0.0 Safari/537.36",
            "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
            "Accept-Language: en-US,en;q=0.9",
            "Accept-Encoding: gzip, deflate, br",
            "Referer: https://shop.example.com/p/" .. math.random(500),
            "Cookie: sid=" .. hex(32) .. "; theme=dark",
            "Sec-Fetch-Dest: document",
            "Sec-Fetch-Mode: navigate",
            "Sec-Fetch-Site: same-origin",
            "",
            "",
        }, "\r\n")
    end
end

function request()
    at = at % MANY + 1
    return made[at]
end

