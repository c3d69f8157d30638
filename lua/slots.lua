-- Slots: counters in a bucket's second key, a hash, named by limit and time, so that a batch touches only those that it
-- charges and those whose time has come. Reads go through a cache; nothing is written before the script's last step.
--
--   <sig>:<n>            a rolling limit's charges of slot n (the time n * width to (n + 1) * width)
--   h<sig>:<class>:<n>   what is held until the deadline n * 2^class ms
--   o:<n>                the books' outstanding estimates with a deadline in second n (1024 ms), packed
--
-- A reservation's deadline is a multiple of 2^class ms, class being the largest with 64 * 2^class <= ttl: so each class has
-- at most 130 deadlines ahead of it, and those that have passed can be named without being listed.

local redis_call = redis.call
local HELD_AHEAD = 130

-- Reads the fields that are not in the cache yet, some hundreds at a time (unpack has a limit).
local function slots_fetch(bucket, fields)
    local cache, missing = bucket.slots, {}
    for i = 1, #fields do
        if cache[fields[i]] == nil then
            missing[#missing + 1] = fields[i]
        end
    end
    for first = 1, #missing, 500 do
        local last = min(first + 499, #missing)
        local values = redis_call('HMGET', bucket.slots_key, unpack(missing, first, last))
        for i = first, last do
            cache[missing[i]] = values[i - first + 1] or 0
        end
    end
end

local function slot_get(bucket, field)
    local value = bucket.slots[field]
    if value == nil then
        value = redis_call('HGET', bucket.slots_key, field) or 0
    end
    value = tonumber(value)
    bucket.slots[field] = value
    return value
end

local function slot_set(bucket, field, value)
    bucket.slots[field] = value
    bucket.touched[field] = true
end

local function held_class(ttl)
    local class, width = 0, 1
    while width * 128 <= ttl do
        class, width = class + 1, width * 2
    end
    return class, width
end

local function held_field(limit, class, deadline)
    return 'h' .. limit.sig .. ':' .. class .. ':' .. deadline / 2 ^ class
end

local function hold_add(state, class, deadline, amount)
    local bucket = state.bucket
    local field = held_field(state.limit, class, deadline)
    slot_set(bucket, field, slot_get(bucket, field) + amount)
    state.held = state.held + amount
    if floor(state.classes / 2 ^ class) % 2 == 0 then
        state.classes = state.classes + 2 ^ class
    end
end

local function hold_sub(state, class, deadline, amount)
    local bucket = state.bucket
    local field = held_field(state.limit, class, deadline)
    local value = slot_get(bucket, field)
    -- Less only where the limit's definition changed meanwhile; never take what others hold.
    amount = min(amount, value)
    slot_set(bucket, field, value - amount)
    state.held = state.held - amount
end

-- The deadlines after `from` and up to `to` on which something is held, as {deadline, amount, field}, soonest first.
local function holds_between(state, from, to)
    local bucket, limit, list, fields = state.bucket, state.limit, {}, {}
    local classes, class = state.classes, 0
    while classes > 0 do
        if classes % 2 == 1 then
            local width = 2 ^ class
            local first = floor(from / width) + 1
            for n = first, min(floor(to / width), first + HELD_AHEAD) do
                local deadline = n * width
                local field = held_field(limit, class, deadline)
                fields[#fields + 1] = field
                list[#list + 1] = { deadline, 0, field }
            end
        end
        classes, class = floor(classes / 2), class + 1
    end
    slots_fetch(bucket, fields)
    local held = {}
    for i = 1, #list do
        local amount = slot_get(bucket, list[i][3])
        if amount > 0 then
            list[i][2] = amount
            held[#held + 1] = list[i]
        end
    end
    table.sort(held, function(a, b)
        return a[1] < b[1] or a[1] == b[1] and a[3] < b[3]
    end)
    return held
end

-- Takes out of the holds those whose deadline has passed, and hands each to expire(state, deadline, amount).
local function holds_turn(state, last, now, expire)
    if state.classes == 0 then
        return
    end
    local passed = holds_between(state, last, now)
    for i = 1, #passed do
        state.held = state.held - passed[i][2]
        slot_set(state.bucket, passed[i][3], 0)
        expire(state, passed[i][1], passed[i][2])
    end
    if state.held == 0 then
        state.classes = 0
    end
end
