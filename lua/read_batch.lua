-- Reading the packed argument: limit sets, buckets, operations. README.md has the layout.
--
-- Garbage is most of what a batch costs, so nothing here makes a table for a bucket, a limit's state or an operation:
-- buckets and states are numbers, and what is known of them stands in columns (`used[s]` is what is used of state s);
-- one table, `o`, is filled with each operation in turn. Most operations of a batch have the same shape (their time to live and
-- their cost): those share one `o.cost`. Columns stay from batch to batch: read_buckets() puts into each row
-- what the last batch may have left there.

local batch_keys -- KEYS

-- Columns of a bucket.
local set_of, key_of, slots_of, ledger_of, first_of = {}, {}, {}, {}, {} -- its states are first_of[b] + 1, + 2, ...
local last_of, keep_of, expires_of, dirty, changed = {}, {}, {}, {}, {}

local plain_of = {} -- a plain bucket's array, while it is one (plain_bucket.lua)

-- Each bucket has a time of its own: the store's, or when it was last written if that is later, so that a clock that steps
-- back changes nothing. `now` is the store's wherever several buckets are meant, and a bucket's own wherever one is.
local ahead = false -- by bucket: its time, if later than the store's; false: there is none such in this batch

local function time_of(b, now)
    return ahead and ahead[b] or now
end

-- The health of pools (pool_health.lua), data and functions.
--   n               how many buckets have a health
--   buckets, keys   which ones, and the keys, in one order
--   breaker         of a bucket: when its circuit opens; false for buckets without a health
--   of              of a bucket: what is known, if anything is
local health = { n = 0, buckets = {}, keys = {}, breaker = {}, of = {} }
-- Of outstanding.lua, data and functions: how many there may be, which buckets count them, and how that is packed.
local outstanding = { most = 0, counts = {}, format = 'I3I4I3I4c14', bytes = 28, no_long = rep('\0', 14) }
local headers, estimates = {}, { keys_from = 0 } -- functions of provider_headers.lua and learned_estimates.lua

-- Columns of a state: one limit of one bucket.
local states = 0
local limit_of, bucket_of, used, held, classes, since, rem, top, history = {}, {}, {}, {}, {}, {}, {}, {}, {}
local open_slot, in_slot = {}, {}

local read_set, read_buckets, read_op

local o = {}

do
    -- What was read before, by its bytes. Few sets are in use at a time, but calendar limits' have new bytes each day.
    local KEPT = 1000
    local kept, n_kept = {}, 0

    local function keep(bytes, value)
        if n_kept >= KEPT then
            kept, n_kept = {}, 0
        end
        kept[bytes], n_kept = value, n_kept + 1
        return value
    end

    local function read_limit(input, at)
        local unit, algorithm, flags, amount, capacity, held_back0, held_back1, held_back2, per, slack, sig
        unit, algorithm, flags, amount, capacity, held_back0, held_back1, held_back2, per, slack, sig, at =
            unpack_bytes('<I1I1I1i8i8i8i8i8I6I4I3', input, at)
        local at_end = flags % 2 == 1
        local l = {
            held_back0, held_back1, held_back2, unit = unit + 1, -- Lua's arrays begin with 1
            algorithm = algorithm, amount = amount, capacity = capacity, per = per, sig = sig, at_end = at_end,
            settle = flags >= 2, holds = at_end or algorithm == CONCURRENT,
            width = algorithm == ROLLING and ceil(per / SLOTS), stay = per + slack, named = false, name = false, -- rolling.lua
        }
        if algorithm == CALENDAR then
            l.bound0, l.bound1, l.bound2, at = unpack_bytes('<I6I6I6', input, at)
        end
        return l, at
    end

    -- What plain_bucket.lua needs to know of a set of token buckets.
    local function read_plain(set)
        local units, fresh = {}, { LEVELS_FORMAT, #set, 0, 0, 0 }
        for j = 1, #set do
            local limit, place = set[j], 5 * j
            units[j] = limit.unit
            limit.ms_each = limit.per / limit.amount
            fresh[place + 1], fresh[place + 2], fresh[place + 3], fresh[place + 4], fresh[place + 5] = limit.sig, 0, 0, 0, 0
        end
        set.plain, set.units, set.fresh = true, units, fresh
        set.format = '<I1I1I6I4I4' .. rep('I3I1I6I5I6', #set)
        set.with_tail = set.format .. 'c0'
        set.counted = set.format .. outstanding.format -- of a bucket whose reservations are counted
        set.counted_with_tail = set.counted .. 'c0'
        set.counted_fresh = { unpack(fresh) }
        for i = 1, 4 do
            set.counted_fresh[#fresh + i] = 0
        end
        set.counted_fresh[#fresh + 5] = outstanding.no_long
    end

    local function parse_set(bytes)
        local set, limits, at, plain, rolling = { calendar = false }, byte(bytes), 2, true, true
        for j = 1, limits do
            set[j], at = read_limit(bytes, at)
            plain = plain and set[j].algorithm == BUCKET and not set[j].holds
            rolling = rolling and set[j].algorithm == ROLLING and not set[j].holds
            set.calendar = set.calendar or set[j].algorithm == CALENDAR
        end
        if plain then
            read_plain(set)
        elseif rolling then
            local levels = '<I1I1I6I4I4' .. rep('I3I1I6I6I6I6', limits) -- bucket.lua
            set.rolling, set.counted_rolling = levels .. rep('I6', limits), levels .. outstanding.format .. rep('I6', limits)
        end
        return set
    end

    function read_set(input, at)
        local bytes
        bytes, at = unpack_bytes('<I2c0', input, at)
        return kept[bytes] or keep(bytes, parse_set(bytes)), at
    end

    local function read_breaker(input, at)
        local bytes = sub(input, at, at + 15)
        local breaker = kept[bytes]
        if not breaker then
            breaker = keep(bytes, {})
            breaker.share, breaker.at_least, breaker.window, breaker.cool = unpack_bytes('<I4I4I4I4', bytes)
        end
        return breaker, at + 16
    end

    local slots_rows = {} -- reused

    local function read_slots(b, key)
        local slots = slots_rows[b]
        if not slots then
            slots = { key = key, value = false, touched = false, dead = false, fresh = false, opened = false, moves_to = false }
            slots_rows[b] = slots
        end
        slots.key, slots.value, slots.touched, slots.dead, slots.fresh, slots.opened, slots.moves_to, slots.is_hash =
            key, false, false, false, false, false, false, false
        return slots
    end

    -- Each bucket has one key, behind that its slots where it has any, and behind those what is known of it. They come first in
    -- KEYS, in the buckets' order. Returns the key that follows, and where the argument goes on.
    function read_buckets(input, at, n, sets)
        local key = 1
        states, health.n, health.of = 0, 0, next(health.of) and {} or health.of
        for b = 1, n do
            local low, high, flags = byte(input, at, at + 2)
            local set = sets[low + 256 * high + 1]
            at = at + 3
            set_of[b], key_of[b], first_of[b], dirty[b], changed[b], plain_of[b] = set, batch_keys[key], states, false, false, false
            states = states + #set
            key = key + 1
            if flags % 2 == 1 then
                slots_of[b] = read_slots(b, batch_keys[key])
                key = key + 1
            else
                slots_of[b] = false
            end
            ledger_of[b] = floor(flags / 2) % 2 == 1
            outstanding.counts[b] = flags >= 8
            if floor(flags / 4) % 2 == 1 then
                local which = health.n + 1
                health.n, health.buckets[which], health.keys[which] = which, b, batch_keys[key]
                health.breaker[b], at = read_breaker(input, at)
                key = key + 1
            else
                health.breaker[b] = false
            end
        end
        return key, at
    end

    -- What a report says beside what was used (`feedback`, of pool_health.lua), and which key has the estimates (learned_estimates.lua).
    local function read_more(input, at, flags)
        if floor(flags / 64) % 2 == 1 then
            local which
            which, at = unpack_bytes('<I2', input, at)
            o.estimates = batch_keys[estimates.keys_from + which]
        end
        if flags >= 128 then
            local n
            o.feedback = {}
            o.feedback.failed, o.feedback.pause, o.feedback.reason, n, at = unpack_bytes('<I1I4I1c0I1', input, at)
            for i = 1, n do
                local header = {}
                header.unit, header.per, header.limit, header.remaining, at = unpack_bytes('<I1I6I6I6', input, at)
                o.feedback[i] = header
            end
        end
        return at
    end

    local function read_flags(flags)
        o.flags, o.names, o.owner, o.token, o.estimates, o.feedback = flags, nil, nil, nil, nil, nil
        o.resent = flags % 2 == 1
        o.dry = floor(flags / 2) % 2 == 1
        o.partial = floor(flags / 4) % 2 == 1
        o.split_unknown = floor(flags / 8) % 2 == 1
    end

    function read_op(input, at, slices)
        local flags, b1, b2, b3, slice, shape
        o.kind, flags, o.priority, o.n, o.stated, o.targets, b1, b2, b3, slice, o.member, o.nonce, o.check, shape, at =
            unpack_bytes('<I1I1I1I1I1I1I2I2I2I2I1c8I6c40', input, at)
        o[1], o[2], o[3], o.slice = b1 + 1, b2 + 1, b3 + 1, slices[slice + 1]
        if shape ~= o.shape then
            local ttl, c1, c2, c3, c4, c5, c6 = unpack_bytes('<I4I6I6I6I6I6I6', shape)
            o.shape, o.ttl, o.cost = shape, ttl, { c1, c2, c3, c4, c5, c6 }
        end
        if flags ~= o.flags then
            read_flags(flags)
        end
        o.most, o.stated_input = 0, 0
        if flags >= 16 then
            if floor(flags / 16) % 2 == 1 then
                local place
                o.names, place, at = unpack_bytes('<I2c0I2', input, at)
                o.owner = slices[place + 1]
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
end
