-- When a bucket's key expires. It is set a quarter later than needed, so that most of the writes that follow find it late enough
-- and leave it as it is, which costs the store less. A debt may take longer than the store can count (a million million reported
-- where one a year is allowed): its key stays for FOREVER.

local MOST = 2 ^ 48 - 1 -- what is used stops growing there: 28 times the largest limit
local LONGEST_AFTER = 2 ^ 32 - 1 -- as is stored of it: after `last`

-- The expiry, and whether the one that the key has can stay.
local function expiry_of(now, needed, expires)
    needed = min(needed, now + FOREVER)
    if expires >= needed and expires - now <= 2 * (needed - now) + 1000 then
        return expires, true
    end
    return needed + floor((needed - now) / 4), false
end
