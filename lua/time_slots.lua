-- Time slots: counters in a bucket's second key, a hash, named by limit and time, so that a batch
-- touches only the slots it charges and those whose time has come. Reads go through a cache;
-- nothing is written before the script's last step.
--
--   <sig>:<n>            a rolling limit's charges in slot n (from n * width to (n + 1) * width)
--   h<sig>:<class>:<n>   what is held until the deadline n * 2^class ms
--   o:<n>                the ledger's estimates outstanding until second n (1024 ms), packed
--
-- A reservation's deadline is a multiple of 2^class ms, where class is the largest with 64 *
-- 2^class <= ttl. So each class has at most 130 deadlines ahead of it, and those that have passed
-- can be named without a list of them.

local slots_find_old, slots_move, slots_fetch, slot_get, slot_set, slot_take, held_class

do
    -- Most batches touch no slots.
    local function slots_cache(b)
        local slots = slots_of[b]
        if not slots.value then
            slots.value, slots.touched = {}, {}
        end
        return slots
    end

    -- If the levels have format 3, the slots are kept under the name of the levels plus ":s". They
    -- are read there and move to their own name when the bucket is next written: a bucket without
    -- its slots would never let go of what it counts.
    function slots_find_old(b)
        local slots, old = slots_of[b], key_of[b] .. ':s'
        -- If it exists and is a hash:
        if redis_call('PTTL', old) ~= -2 and type(redis.pcall('HGET', old, '')) ~= 'table' then
            slots.key, slots.moves_to = old, slots.key
        end
    end

    function slots_move(slots)
        if slots.moves_to then
            local fields = redis_call('HGETALL', slots.key)
            for first = 1, #fields, 1000 do
                redis_call('HSET', slots.moves_to, unpack(fields, first, min(first + 999, #fields)))
            end
            redis_call('DEL', slots.key)
            -- `opened`: the new key gets an expiry.
            slots.key, slots.moves_to, slots.opened = slots.moves_to, false, true
        end
    end

    -- Reads the fields that are not cached yet, some hundreds at a time (unpack has a limit).
    function slots_fetch(b, fields)
        local slots, missing = slots_cache(b), {}
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
            slots.is_hash = true -- or else this fails
            for i = first, last do
                slots.value[missing[i]] = tonumber(values[i - first + 1] or 0)
            end
        end
    end

    function slot_get(b, field)
        local slots = slots_of[b]
        local value = slots.value and slots.value[field]
        if not value then
            slots = slots_cache(b)
            value = slots.fresh and 0 or tonumber(redis_call('HGET', slots.key, field) or 0)
            slots.value[field] = value
        end
        return value
    end

    -- Takes out up to `amount` and returns how much it took.
    function slot_take(b, field, amount)
        local value = slot_get(b, field)
        local slots = slots_of[b]
        amount = value < amount and value or amount
        slots.value[field], slots.touched[field] = value - amount, true
        return amount
    end

    function slot_set(b, field, value)
        local slots = slots_cache(b)
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

end
