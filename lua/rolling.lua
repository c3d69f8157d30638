-- Rolling window. `used` is the sum of the slots that still count. Slot n holds what was charged between n * width and
-- (n + 1) * width and counts until a whole period and the slack after its end, so that no window of one period, wherever
-- it begins, can hold more than the amount. `top` is the first slot that still counts.

local rolling_first, rolling_charge, rolling_refund, rolling_refresh, rolling_wait

do
    local function rolling_field(limit, slot)
        return limit.sig .. ':' .. slot
    end

    -- The oldest slot that still counts at `now`.
    function rolling_first(limit, now)
        return floor((now - limit.stay) / limit.width)
    end

    local function rolling_fields(limit, first, last)
        local fields = {}
        for slot = first, last do
            fields[#fields + 1] = rolling_field(limit, slot)
        end
        return fields
    end

    function rolling_charge(s, amount, at)
        local limit, b = limit_of[s], bucket_of[s]
        local slot = floor(at / limit.width)
        if slot ~= limit.named_slot then
            limit.named_slot, limit.named_field = slot, rolling_field(limit, slot)
        end
        local slots, field = slots_of[b], limit.named_field
        slots.value[field] = (slots.value[field] or slot_get(b, field)) + amount
        slots.touched[field] = true
        used[s] = used[s] + amount
    end

    -- Gives back into the slot that was charged, if it still counts; a later window never gains from it.
    function rolling_refund(s, amount, from, now)
        local limit, b = limit_of[s], bucket_of[s]
        local slot = floor(from / limit.width)
        if slot < rolling_first(limit, now) then
            return
        end
        local field = rolling_field(limit, slot)
        local value = slot_get(b, field)
        amount = min(amount, value)
        slot_set(b, field, value - amount)
        used[s] = used[s] - amount
    end

    function rolling_refresh(s, last, now)
        local limit, b = limit_of[s], bucket_of[s]
        local first, next_first = top[s], rolling_first(limit, now)
        local gone = min(next_first - 1, floor(last / limit.width))
        top[s] = max(first, next_first)
        if gone >= first then
            local fields = rolling_fields(limit, first, gone)
            slots_fetch(b, fields)
            for i = 1, #fields do
                local value = slot_get(b, fields[i])
                if value > 0 then
                    used[s] = max(0, used[s] - value)
                    slot_set(b, fields[i], 0)
                end
            end
        end
        if classes[s] ~= 0 then
            holds_turn(s, last, now, function(_, deadline, amount)
                if floor(deadline / limit.width) >= rolling_first(limit, now) then
                    rolling_charge(s, amount, deadline)
                end
            end)
        end
    end

    -- Milliseconds until used + held <= room. What is held is charged at its deadline and counts a period longer.
    function rolling_wait(s, room, now)
        local limit, b = limit_of[s], bucket_of[s]
        local excess = used[s] + held[s] - room
        if excess <= 0 then
            return 0
        end
        local first, current = rolling_first(limit, now), floor(now / limit.width)
        local fields = rolling_fields(limit, first, current)
        slots_fetch(b, fields)
        for i = 1, #fields do
            excess = excess - slot_get(b, fields[i])
            if excess <= 0 then
                return (first + i) * limit.width + limit.stay - now
            end
        end
        local holds = holds_between(s, now, now + 2 ^ 40)
        for i = 1, #holds do
            excess = excess - holds[i][2]
            if excess <= 0 then
                return (floor(holds[i][1] / limit.width) + 1) * limit.width + limit.stay - now
            end
        end
        return 0
    end
end
