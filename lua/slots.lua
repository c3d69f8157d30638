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
local slots_fetch, slot_get, slot_set, held_class, hold_add, hold_sub, holds_between, holds_turn

do
    local HELD_AHEAD = 130

    -- Reads the fields that are not in the cache yet, some hundreds at a time (unpack has a limit).
    function slots_fetch(b, fields)
        local slots, missing = slots_of[b], {}
        for i = 1, #fields do
            if slots.value[fields[i]] == nil then
                if slots.fresh then
                    slots.value[fields[i]] = 0
                else
                    missing[#missing + 1] = fields[i]
                end
            end
        end
        for first = 1, #missing, 500 do
            local last = min(first + 499, #missing)
            local values = redis_call('HMGET', slots.key, unpack(missing, first, last))
            for i = first, last do
                slots.value[missing[i]] = tonumber(values[i - first + 1] or 0)
            end
        end
    end

    function slot_get(b, field)
        local slots = slots_of[b]
        local value = slots.value[field]
        if value == nil then
            value = slots.fresh and 0 or tonumber(redis_call('HGET', slots.key, field) or 0)
            slots.value[field] = value
        end
        return value
    end

    function slot_set(b, field, value)
        local slots = slots_of[b]
        slots.value[field] = value
        slots.touched[field] = true
    end

    function held_class(ttl)
        local class, width = 0, 1
        while width * 128 <= ttl do
            class, width = class + 1, width * 2
        end
        return class, width
    end

    local function held_field(limit, class, deadline)
        return 'h' .. limit.sig .. ':' .. class .. ':' .. deadline / 2 ^ class
    end

    function hold_add(s, class, deadline, amount)
        local b = bucket_of[s]
        local field = held_field(limit_of[s], class, deadline)
        slot_set(b, field, slot_get(b, field) + amount)
        held[s] = held[s] + amount
        if floor(classes[s] / 2 ^ class) % 2 == 0 then
            classes[s] = classes[s] + 2 ^ class
        end
    end

    function hold_sub(s, class, deadline, amount)
        local b = bucket_of[s]
        local field = held_field(limit_of[s], class, deadline)
        local value = slot_get(b, field)
        -- Less only where the limit's definition changed meanwhile; never take what others hold.
        amount = min(amount, value)
        slot_set(b, field, value - amount)
        held[s] = held[s] - amount
    end

    local function sooner(a, b)
        return a[1] < b[1] or a[1] == b[1] and a[3] < b[3]
    end

    -- The deadlines after `from` and up to `to` on which something is held, as {deadline, amount, field}, soonest first.
    function holds_between(s, from, to)
        local b, limit, list, fields = bucket_of[s], limit_of[s], {}, {}
        local bits, class = classes[s], 0
        while bits > 0 do
            if bits % 2 == 1 then
                local width = 2 ^ class
                local first = floor(from / width) + 1
                for n = first, min(floor(to / width), first + HELD_AHEAD) do
                    local deadline = n * width
                    local field = held_field(limit, class, deadline)
                    fields[#fields + 1] = field
                    list[#list + 1] = { deadline, 0, field }
                end
            end
            bits, class = floor(bits / 2), class + 1
        end
        slots_fetch(b, fields)
        local found = {}
        for i = 1, #list do
            local amount = slot_get(b, list[i][3])
            if amount > 0 then
                list[i][2] = amount
                found[#found + 1] = list[i]
            end
        end
        table.sort(found, sooner)
        return found
    end

    -- Takes out of the holds those whose deadline has passed, and hands each to expire(s, deadline, amount).
    function holds_turn(s, last, now, expire)
        local passed = holds_between(s, last, now)
        for i = 1, #passed do
            held[s] = held[s] - passed[i][2]
            slot_set(bucket_of[s], passed[i][3], 0)
            expire(s, passed[i][1], passed[i][2])
        end
        if held[s] == 0 then
            classes[s] = 0
        end
    end
end
