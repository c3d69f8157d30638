-- Exact multiplication and division beyond 2^53.

-- Returns (a * b + c) / m as an exact quotient and remainder, for a < 2^53, m < 2^44, c < m. The
-- quotient must be below 2^53, which callers ensure; the product need not be.
local function mul_div(a, b, c, m)
    local product = a * b + c
    if product < EXACT then
        local quotient = floor(product / m)
        return quotient, product - quotient * m
    end
    -- Long division in base 256: the carry is below m, so each step stays below 2^53.
    local whole = floor(b / m)
    local part = b - whole * m
    local quotient, rest = 0, 0
    for shift = 48, 0, -8 do
        rest = rest * 256 + floor(a / 2 ^ shift) % 256 * part
        quotient = quotient * 256 + floor(rest / m)
        rest = rest % m
    end
    rest = rest + c
    return a * whole + quotient + floor(rest / m), rest % m
end

-- The smallest t >= 0 for which (t * b + c) / m >= a in whole numbers: how long until `a` has come
-- in. Anything longer than FOREVER (35,000 years in ms) is returned as FOREVER.
local FOREVER = 2 ^ 50

local function time_for(a, b, c, m)
    if a * m / b > FOREVER then
        return FOREVER
    end
    local quotient, rest = mul_div(a, m, 0, b)
    -- t = ceil((a * m - c) / b); a * m = quotient * b + rest
    return max(0, quotient + ceil((rest - c) / b))
end
