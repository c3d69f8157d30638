-- When a bucket's key expires. The expiry is set a quarter later than needed, so that most later
-- writes find it late enough and leave it alone, which costs the store less. A debt may take longer
-- than the store can count (10^12 reported when one a year is allowed): its key stays for FOREVER.

local MOST = 2 ^ 48 - 1 -- `used` stops growing there: 28 times the largest limit
local LONGEST_AFTER = 2 ^ 32 - 1 -- the longest that is stored, counted from `last`

-- Returns the expiry, and whether the key's present one can stay.
local function expiry_of(now, needed, expires)
    needed = min(needed, now + FOREVER)
    if expires >= needed and expires - now <= 2 * (needed - now) + 1000 then
        return expires, true
    end
    return needed + floor((needed - now) / 4), false
end
