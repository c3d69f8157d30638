-- Reading the packed argument: limit sets, buckets, operations. README.md has the layout.
--
-- Garbage is most of what a script costs, so nothing here makes a table for a bucket, a limit's state or an operation:
-- buckets and states are numbers, and what is known of them stands in columns (`used[s]` is what is used of state s);
-- one table, `o`, is filled with each operation in turn.

local BUCKET, ROLLING, CALENDAR, CONCURRENT = 0, 1, 2, 3
local ACQUIRE, REPORT, RENEW, CANCEL, PEEK, OPEN_POOL, FORGIVE = 1, 2, 3, 4, 5, 6, 9 -- 7 closes and 8 shows a pool
local UNITS = 6 -- requests, tokens, input_tokens, output_tokens, usd, concurrent
local BOOKED = 5 -- of those, the ones that the books count

local unpack_bytes, pack_bytes = struct.unpack, struct.pack
local LEVELS_FORMAT = 3 -- of what bucket.lua stores
local SLOTS = 120 -- slots of a rolling limit's period

-- Columns of a bucket.
local set_of, key_of, slots_of, books_of, first_of = {}, {}, {}, {}, {} -- its states are first_of[b] + 1, + 2, ...
local last_of, keep_of, expires_of, dirty, changed = {}, {}, {}, {}, {}

local plain_of = {} -- a plain bucket's array, while it is one (plain.lua)

-- What is known of pools (knowledge.lua) and what was learned (learned.lua), data and functions. It is one table, and the
-- functions are made when first wanted, because each local that a function captures costs every run of the script.
--   buckets, keys   which buckets have such a key, and the keys, in one order
--   breaker         of a bucket: when its circuit opens
--   of              of a bucket: what is known, where anything is
--   estimates_from  the first of the estimates' keys is KEYS[estimates_from]
local know = { buckets = {}, keys = {}, breaker = {}, of = {} }

-- Columns of a state: one limit of one bucket.
local states = 0
local limit_of, bucket_of, used, held, classes, since, rem, top, lows = {}, {}, {}, {}, {}, {}, {}, {}, {}
local open_slot, in_slot = {}, {}

local function read_limit(input, at)
    local unit, algorithm, flags, amount, capacity, floor0, floor1, floor2, per, slack, sig
    unit, algorithm, flags, amount, capacity, floor0, floor1, floor2, per, slack, sig, at =
        unpack_bytes('<I1I1I1i8i8i8i8i8I6I4I3', input, at)
    local at_end = flags % 2 == 1
    local l = { -- made in one go: a table that grows field by field is copied each time it is full
        floor0, floor1, floor2, unit = unit + 1, -- Lua's arrays begin with 1
        algorithm = algorithm, amount = amount, capacity = capacity, per = per, sig = sig, at_end = at_end,
        settle = flags >= 2, holds = at_end or algorithm == CONCURRENT,
        width = algorithm == ROLLING and ceil(per / SLOTS), stay = per + slack,
    }
    if algorithm == CALENDAR then
        l.bound0, l.bound1, l.bound2, at = unpack_bytes('<I6I6I6', input, at)
    end
    return l, at
end

-- What plain.lua wants to know of a set of token buckets.
local function read_plain(set)
    local units, fresh = {}, { LEVELS_FORMAT, #set, 0, 0, 0 }
    for j = 1, #set do
        local limit, place = set[j], 5 * j
        units[j] = limit.unit
        limit.ms_each = limit.per / limit.amount
        fresh[place + 1], fresh[place + 2], fresh[place + 3], fresh[place + 4], fresh[place + 5] = limit.sig, 0, 0, 0, 0
    end
    set.plain, set.units, set.fresh = true, units, fresh
    set.format = '<I1I1I6I4I4' .. string.rep('I3I1I6I5I6', #set)
end

local function read_sets(input, at, n)
    local sets, any_holds = {}, false
    for i = 1, n do
        local limits, set, plain = nil, {}, true
        limits, at = unpack_bytes('<I1', input, at)
        for j = 1, limits do
            set[j], at = read_limit(input, at)
            any_holds = any_holds or set[j].holds
            plain = plain and set[j].algorithm == BUCKET and not set[j].holds
        end
        if plain then
            read_plain(set)
        end
        sets[i] = set
    end
    return sets, at, any_holds
end

-- Each bucket has one key, or two when it has slots; they come first in KEYS, in the buckets' order.
local function read_buckets(input, at, n, sets)
    local key = 1
    for b = 1, n do
        local set, flags
        set, flags, at = unpack_bytes('<I2I1', input, at)
        set = sets[set + 1]
        set_of[b], key_of[b], first_of[b] = set, KEYS[key], states
        books_of[b] = floor(flags / 2) % 2 == 1
        states = states + #set
        key = key + 1
        if flags % 2 == 1 then
            slots_of[b] = { key = KEYS[key], value = false, touched = false, dead = false, fresh = false } -- slots.lua
            key = key + 1
        end
        if flags >= 4 then
            know.buckets[#know.buckets + 1], know.keys[#know.keys + 1] = b, KEYS[key]
            local breaker = {}
            breaker.share, breaker.at_least, breaker.window, breaker.cool, at = unpack_bytes('<I4I4I4I4', input, at)
            know.breaker[b], key = breaker, key + 1
        end
    end
    return key, at
end

local o = { cost = {} }

-- What a report says beside what was used (`news`, of knowledge.lua), and which key has the estimates (learned.lua).
local function read_more(input, at, flags)
    if floor(flags / 64) % 2 == 1 then
        local which
        which, at = unpack_bytes('<I2', input, at)
        o.estimates = KEYS[know.estimates_from + which]
    end
    if flags >= 128 then
        local n
        o.news = {}
        o.news.failed, o.news.pause, o.news.reason, n, at = unpack_bytes('<I1I4I1c0I1', input, at)
        for i = 1, n do
            local seen = {}
            seen.unit, seen.per, seen.limit, seen.remaining, at = unpack_bytes('<I1I6I6I6', input, at)
            o.news[i] = seen
        end
    end
    return at
end

local function read_op(input, at, slices)
    local cost = o.cost
    local flags, slice
    o.kind, flags, o.priority, o.n, o.stated, o.targets, o[1], o[2], o[3], slice, o.member, o.nonce, o.check, o.ttl,
        cost[1], cost[2], cost[3], cost[4], cost[5], cost[6], at =
        unpack_bytes('<I1I1I1I1I1I1I2I2I2I2I1c8I6I4I6I6I6I6I6I6', input, at)
    for i = 1, o.targets do
        o[i] = o[i] + 1
    end
    o.slice = slices[slice + 1]
    o.names, o.token, o.estimates, o.news, o.most, o.stated_input = nil, nil, nil, nil, 0, 0
    o.again, o.dry, o.partial, o.split_unknown = false, false, false, false
    if flags > 0 then
        o.again = flags % 2 == 1
        o.dry = floor(flags / 2) % 2 == 1
        o.partial = floor(flags / 4) % 2 == 1
        o.split_unknown = floor(flags / 8) % 2 == 1
        if floor(flags / 16) % 2 == 1 then
            o.names, at = unpack_bytes('<I2c0', input, at)
        end
        if floor(flags / 32) % 2 == 1 then
            o.token, at = unpack_bytes('<c8', input, at)
        end
        if flags >= 64 then
            at = read_more(input, at, flags)
        end
    end
    return at
end
