-- Buckets: the state of all limits of one pool, of one tenant, or of one tenant in one pool. One key holds the levels,
-- packed; it is read once and written at most once in a batch. A second key, for those that need it, holds the slots.
--
-- Levels, as a sequence of msgpack integers (times are milliseconds; those marked - are before `last`):
--   format (1), last, keep (after last), number of limits,
--   each limit: sig, used, held, classes, since, and of a token bucket: rem, top (-), number of lows, each {time (-), low}
--   and of a pool: latest, and the six numbers of each of the BOOKS
--
-- What is stored is what was used, not what is left: so a changed amount keeps what was used by itself.

local FORMAT = 1

local function state_new(bucket, limit)
    return {
        bucket = bucket, limit = limit, used = 0, held = 0, classes = 0, since = 0,
        rem = 0, top = 0, stack = {},
    }
end

local function is_token_bucket(sig)
    return floor(sig / 2048) % 4 == BUCKET
end

local function unpack_limit(packed, at, last)
    local s = { sig = packed[at], used = packed[at + 1], held = packed[at + 2], classes = packed[at + 3],
        since = packed[at + 4], rem = 0, top = 0, stack = {} }
    at = at + 5
    if is_token_bucket(s.sig) then
        s.rem, s.top = packed[at], last - packed[at + 1]
        local lows = packed[at + 2]
        at = at + 3
        for i = 1, lows do
            s.stack[i] = { last - packed[at], packed[at + 1] }
            at = at + 2
        end
    end
    return s, at
end

local function pack_limit(packed, at, s, last)
    packed[at], packed[at + 1], packed[at + 2], packed[at + 3], packed[at + 4] =
        s.limit.sig, s.used, s.held, s.classes, s.since
    at = at + 5
    if s.limit.algorithm == BUCKET then
        packed[at], packed[at + 1], packed[at + 2] = s.rem, s.used > 0 and last - s.top or 0, #s.stack
        at = at + 3
        for i = 1, #s.stack do
            packed[at], packed[at + 1] = last - s.stack[i][1], s.stack[i][2]
            at = at + 2
        end
    end
    return at
end

-- First half of opening: what is stored, as it was stored.
local function bucket_read(bucket, raw)
    bucket.owed, bucket.keep, bucket.stored = {}, 0, {}
    bucket.books_state = bucket.books and books_new() or nil
    if not raw then
        return
    end
    local packed = { cmsgpack.unpack(raw) }
    bucket.last = packed[2]
    bucket.keep = packed[2] + packed[3]
    local at = 5
    for i = 1, packed[4] do
        bucket.stored[i], at = unpack_limit(packed, at, bucket.last)
    end
    if bucket.books and packed[at] then
        bucket.books_state.latest = packed[at]
        for i = 1, #BOOKS do
            local sum = bucket.books_state[BOOKS[i]]
            for j = 1, BOOKED_NUMBERS do
                sum[j] = packed[at + (i - 1) * BOOKED_NUMBERS + j]
            end
        end
    end
end

-- The stored state that continues as this limit: the same unit, algorithm and period; or else (the limit was changed at
-- run time) one of the same unit whose own limit is gone.
local function take_stored(bucket, limit, index, exact)
    local stored = bucket.stored
    local function fits(s)
        if not s or s.taken then
            return false
        end
        if exact then
            return s.sig == limit.sig
        end
        return floor(s.sig / 8192) == limit.unit - 1
    end
    if fits(stored[index]) then
        stored[index].taken = true
        return stored[index]
    end
    for i = 1, #stored do
        if fits(stored[i]) then
            stored[i].taken = true
            return stored[i]
        end
    end
end

-- Second half: what is stored becomes the state of the limits of today, as of `now`.
local function bucket_open(bucket, now)
    local set, fresh = bucket.set, bucket.last == nil
    local last = bucket.last or now
    for i = 1, #set do
        local state = take_stored(bucket, set[i], i, true)
        if state then
            state.bucket, state.limit = bucket, set[i]
            bucket[i] = state
        end
    end
    for i = 1, #set do
        if bucket[i] then
            limit_refresh(bucket[i], last, now)
        else
            local state = state_new(bucket, set[i])
            bucket[i] = state
            if not fresh then
                -- What is given back of charges that were made before this limit was there, is not given back here.
                state.since, bucket.changed = now, true
                local before = take_stored(bucket, set[i], i, false)
                if before and set[i].algorithm ~= CONCURRENT then
                    limit_charge(state, before.used + before.held, now)
                end
            end
        end
    end
    if bucket.books then
        books_turn(bucket, last, now)
    end
end

-- When the bucket no longer matters: when it would be as good as new, and no reservation is out that it knows of.
local function bucket_expiry(bucket, now)
    local expiry = max(now, bucket.keep)
    for i = 1, #bucket.set do
        local s, limit = bucket[i], bucket.set[i]
        if s.used + s.held > 0 then
            if limit.algorithm == BUCKET then
                expiry = max(expiry, max(now, bucket.keep) + ceil((s.used + s.held) / limit.amount * limit.per) + 1)
            elseif limit.algorithm == ROLLING then
                expiry = max(expiry, max(now, bucket.keep) + limit.stay + limit.width)
            elseif limit.algorithm == CALENDAR then
                local _, reset = calendar_start(limit, now)
                expiry = max(expiry, reset)
            end
        end
    end
    return min(expiry, now + 2 ^ 45)
end

local function bucket_write_slots(bucket, expiry)
    local gone, kept = bucket.dead, {}
    for field in pairs(bucket.touched) do
        local value = bucket.slots[field]
        if value == 0 then
            gone[#gone + 1] = field
        else
            kept[#kept + 1] = field
            kept[#kept + 1] = string.format('%.0f', value)
        end
    end
    for n, owed in pairs(bucket.owed) do
        if owed[6] == 0 then
            gone[#gone + 1] = 'o:' .. n
        else
            kept[#kept + 1] = 'o:' .. n
            kept[#kept + 1] = cmsgpack.pack(unpack(owed))
        end
    end
    if bucket.changed then
        -- Slots of limits that are no longer there.
        local current, fields = {}, redis_call('HKEYS', bucket.slots_key)
        for i = 1, #bucket.set do
            current[bucket.set[i].sig] = true
        end
        for i = 1, #fields do
            local sig = tonumber(string.match(fields[i], '^h?(%d+):'))
            if sig and not current[sig] then
                gone[#gone + 1] = fields[i]
            end
        end
    end
    for first = 1, #gone, 1000 do
        redis_call('HDEL', bucket.slots_key, unpack(gone, first, min(first + 999, #gone)))
    end
    for first = 1, #kept, 1000 do
        redis_call('HSET', bucket.slots_key, unpack(kept, first, min(first + 999, #kept)))
    end
    redis_call('PEXPIREAT', bucket.slots_key, string.format('%.0f', expiry))
end

local function bucket_write(bucket, now)
    local packed = { FORMAT, now, max(0, bucket.keep - now), #bucket.set }
    local at = 5
    for i = 1, #bucket.set do
        at = pack_limit(packed, at, bucket[i], now)
    end
    if bucket.books then
        local books = bucket.books_state
        packed[at] = books.latest
        for i = 1, #BOOKS do
            local sum = books[BOOKS[i]]
            for j = 1, BOOKED_NUMBERS do
                packed[at + (i - 1) * BOOKED_NUMBERS + j] = sum[j]
            end
        end
    end
    local expiry = bucket_expiry(bucket, now)
    redis_call('SET', bucket.key, cmsgpack.pack(unpack(packed)), 'PXAT', string.format('%.0f', expiry))
    if bucket.slots_key then
        bucket_write_slots(bucket, expiry)
    end
end
