-- Rolling window. `used` is the sum of the slots that still count. Slot n holds what was charged
-- between n * width and (n + 1) * width, and counts until a whole period plus the slack has passed
-- after its end, so that no window of one period, wherever it begins, can hold more than the
-- amount.
--
-- The slot being charged, `open_slot`, is kept with the levels (`in_slot`) and moves into the time
-- slots when the next one is opened. So a batch touches time slots only when they turn. `top` is
-- the first slot that still counts.

local rolling_first, rolling_new, rolling_charge, rolling_refund, rolling_refresh, rolling_wait

do
    -- Slots that can count, whatever the slack was; turning more of them would take hours.
    local MOST_SLOTS = 100000

    -- The last name is kept: making one costs time, and reports that arrive together are mostly of
    -- calls that were granted together.
    local function field_of(limit, slot)
        if limit.named ~= slot then
            limit.named, limit.name = slot, limit.sig .. ':' .. slot
        end
        return limit.name
    end

    -- The oldest slot that still counts at `now`.
    function rolling_first(limit, now)
        return floor((now - limit.stay) / limit.width)
    end

    function rolling_new(s, limit, now)
        top[s], open_slot[s], in_slot[s] = rolling_first(limit, now), floor(now / limit.width), 0
    end

    function rolling_charge(s, amount, at)
        local limit = limit_of[s]
        local slot, open = floor(at / limit.width), open_slot[s]
        used[s] = used[s] + amount
        if slot == open then
            in_slot[s] = in_slot[s] + amount
        elseif slot > open then
            if in_slot[s] > 0 then
                slot_set(bucket_of[s], field_of(limit, open), in_slot[s])
            end
            open_slot[s], in_slot[s] = slot, amount
            -- The slots before it must stay as long as it counts: `used` includes them.
            slots_of[bucket_of[s]].opened = true
        else
            local b, field = bucket_of[s], field_of(limit, slot)
            slot_set(b, field, slot_get(b, field) + amount)
        end
    end

    -- Refunds into the slot that was charged, if it still counts; a later window never gains from
    -- it.
    function rolling_refund(s, amount, from)
        local limit, b = limit_of[s], bucket_of[s]
        local slot = floor(from / limit.width)
        if slot < top[s] then
            return
        elseif slot == open_slot[s] then
            amount = min(amount, in_slot[s])
            in_slot[s] = in_slot[s] - amount
        else
            amount = slot_take(b, field_of(limit, slot), amount)
        end
        used[s] = used[s] - amount
    end

    local function slots_turn(s, limit, first, gone)
        local b, fields = bucket_of[s], {}
        for slot = first, gone do
            fields[#fields + 1] = field_of(limit, slot)
        end
        slots_fetch(b, fields)
        for i = 1, #fields do
            local value = slot_get(b, fields[i])
            if value > 0 then
                used[s] = max(0, used[s] - value)
                slot_set(b, fields[i], 0)
            end
        end
    end

    function rolling_refresh(s, last, now)
        local limit = limit_of[s]
        local first, next_first = top[s], rolling_first(limit, now)
        if open_slot[s] - (first < next_first and first or next_first) > MOST_SLOTS then
            error(key_of[bucket_of[s]] .. ' is damaged: delete it, which forgets what was used', 0)
        elseif next_first > first then
            slots_turn(s, limit, first, min(next_first, open_slot[s]) - 1)
            if next_first >= open_slot[s] then
                -- Whatever the slots held has passed, even if their key has expired meanwhile.
                if next_first > open_slot[s] then
                    in_slot[s] = 0
                end
                used[s] = in_slot[s]
            end
            top[s] = next_first
        end
        if classes[s] ~= 0 then
            held_turn(s, last, now, function(_, deadline, amount)
                if floor(deadline / limit.width) >= next_first then
                    rolling_charge(s, amount, deadline)
                end
            end)
        end
    end

    -- Milliseconds until used + held <= room. What is held is charged at its deadline and counts
    -- for a period more.
    function rolling_wait(s, room, now)
        local limit, b = limit_of[s], bucket_of[s]
        local excess = used[s] + held[s] - room
        if excess <= 0 then
            return 0
        end
        -- Room mostly comes with the first slots that turn, so they are read a few at a time, then
        -- more; not at all if those before the open one do not hold enough.
        local slot, chunk, before = rolling_first(limit, now), 8, used[s] - in_slot[s]
        if excess > before and slot <= open_slot[s] then
            slot, excess = open_slot[s], excess - before
        end
        while slot <= open_slot[s] do
            local fields = {}
            for n = slot, min(slot + chunk, open_slot[s]) - 1 do
                fields[#fields + 1] = field_of(limit, n)
            end
            slots_fetch(b, fields)
            for i = 1, #fields do
                excess = excess - slot_get(b, fields[i])
                if excess <= 0 then
                    return (slot + 1) * limit.width + limit.stay - now
                end
                slot = slot + 1
            end
            if slot == open_slot[s] then
                excess = excess - in_slot[s]
                if excess <= 0 then
                    return (slot + 1) * limit.width + limit.stay - now
                end
                slot = slot + 1
            end
            chunk = chunk * 2
        end
        local holds = held[s] > 0 and held_between(s, now, now + 2 ^ 40) or NOTHING
        for i = 1, #holds do
            excess = excess - holds[i][2]
            if excess <= 0 then
                return (floor(holds[i][1] / limit.width) + 1) * limit.width + limit.stay - now
            end
        end
        -- Slots were lost: whatever they held is let go when the open one has passed.
        return (max(slot, open_slot[s]) + 1) * limit.width + limit.stay - now
    end
end
