-- Reading the packed argument: limit sets, buckets, operations. README.md has the layout.

local BUCKET, ROLLING, CALENDAR, CONCURRENT = 0, 1, 2, 3
local ACQUIRE, REPORT, RENEW, CANCEL, PEEK = 1, 2, 3, 4, 5
local GRANTED, DENIED, SETTLED, LATE, DUPLICATE, PEEKED, NOSUCH, FOREIGN, ENDED = 1, 2, 3, 4, 5, 6, 7, 8, 9
local UNITS = 6 -- requests, tokens, input_tokens, output_tokens, usd, concurrent
local BOOKED = 5 -- of those, the ones that the books count

local unpack_bytes, pack_bytes = struct.unpack, struct.pack
local SLOTS = 120 -- slots of a rolling limit's period

local function read_limit(input, at)
    local l = {}
    local flags
    l.unit, l.algorithm, flags, l.amount, l.capacity, l[1], l[2], l[3], l.per, l.slack, l.sig, at =
        unpack_bytes('<I1I1I1i8i8i8i8i8I6I4I2', input, at)
    l.unit = l.unit + 1 -- Lua's arrays begin with 1
    l.at_end = flags % 2 == 1
    l.settle = floor(flags / 2) % 2 == 1
    l.holds = l.at_end or l.algorithm == CONCURRENT
    if l.algorithm == ROLLING then
        l.width = ceil(l.per / SLOTS)
        l.stay = l.per + l.slack
    elseif l.algorithm == CALENDAR then
        l.bound0, l.bound1, l.bound2, at = unpack_bytes('<I6I6I6', input, at)
    end
    return l, at
end

local function read_sets(input, at, n)
    local sets = {}
    for i = 1, n do
        local limits, set = nil, {}
        limits, at = unpack_bytes('<I1', input, at)
        for j = 1, limits do
            set[j], at = read_limit(input, at)
        end
        sets[i] = set
    end
    return sets, at
end

-- Each bucket has one key, or two when it has slots; they come first in KEYS, in the buckets' order.
local function read_buckets(input, at, n, sets)
    local buckets, key = {}, 1
    for i = 1, n do
        local set, flags
        set, flags, at = unpack_bytes('<I2I1', input, at)
        local b = { set = sets[set + 1], key = KEYS[key], books = flags >= 2, slots = {}, touched = {}, dead = {} }
        key = key + 1
        if flags % 2 == 1 then
            b.slots_key = KEYS[key]
            key = key + 1
        end
        buckets[i] = b
    end
    return buckets, key, at
end

local function read_op(input, at, buckets, slices)
    local o, cost = {}, {}
    local flags, n_targets, t1, t2, t3, slice
    o.kind, flags, o.priority, o.n, o.stated, n_targets, t1, t2, t3, slice, o.member, o.nonce, o.check, o.ttl,
        cost[1], cost[2], cost[3], cost[4], cost[5], cost[6], at =
        unpack_bytes('<I1I1I1I1I1I1I2I2I2I2I1c8I6I4I6I6I6I6I6I6', input, at)
    o.cost = cost
    o.again = flags % 2 == 1
    o.dry = floor(flags / 2) % 2 == 1
    o.partial = floor(flags / 4) % 2 == 1
    o.split_unknown = floor(flags / 8) % 2 == 1
    o[1] = buckets[t1 + 1]
    o[2] = n_targets > 1 and buckets[t2 + 1] or nil
    o[3] = n_targets > 2 and buckets[t3 + 1] or nil
    o.slice = slices[slice + 1]
    if floor(flags / 16) % 2 == 1 then
        o.names, at = unpack_bytes('<I2c0', input, at)
    end
    if floor(flags / 32) % 2 == 1 then
        o.token, at = unpack_bytes('<c8', input, at)
    end
    return o, at
end
