-- Token bucket. `used` is what is missing from full: it falls by amount / per a millisecond, never below zero, and may
-- exceed the capacity (debt). The fraction of a unit that has come in is carried in `rem` (of `per`).
--
-- Giving back needs more than the level. A charge of 100 that was refilled long ago cannot be given back: had it not
-- been charged, the bucket would have stood full and the refill would have been lost. What may be given back is the
-- least that was used at any moment since the charge. `stack` remembers those lows: entries {time, low} with rising
-- times and lows, so that for a charge made at or after an entry's time (and before the next one's) `used` has never
-- been below that low; since `top` it has never been below what it is now.

local LOWS = 8

local function bucket_forget_lows(state)
    local stack = state.stack
    while #stack > 0 and stack[#stack][2] >= state.used do
        state.top = stack[#stack][1]
        stack[#stack] = nil
    end
    while #stack > 0 and stack[1][2] <= 0 do
        table.remove(stack, 1)
    end
end

local function bucket_empty_out(state)
    state.used, state.rem, state.stack = 0, 0, {}
end

local function bucket_refill(state, ms)
    local limit = state.limit
    if ms <= 0 or state.used == 0 then
        return
    end
    -- Far more than enough is decided in floating point, which keeps the exact path within its range.
    if ms * limit.amount / limit.per > state.used * 1.000001 + 2 then
        bucket_empty_out(state)
        return
    end
    local came, rem = mul_div(ms, limit.amount, state.rem, limit.per)
    if came >= state.used then
        bucket_empty_out(state)
        return
    end
    state.used, state.rem = state.used - came, rem
    bucket_forget_lows(state)
end

local function bucket_charge(state, amount, at)
    local stack = state.stack
    if state.used == 0 then
        state.stack, state.top = {}, at
    elseif state.top < at then
        stack[#stack + 1] = { state.top, state.used }
        state.top = at
        if #stack > LOWS then
            -- The two oldest become one with the lower low: at the worst too little is given back, never too much.
            table.remove(stack, 2)
        end
    end
    state.used = state.used + amount
end

-- Gives back up to `amount` of a charge of `charged` made at `since`.
local function bucket_refund(state, amount, since, charged, now)
    local limit, stack = state.limit, state.stack
    if state.used == 0 then
        return
    end
    local low = 0
    if since >= state.top then
        low = state.used
    else
        for i = #stack, 1, -1 do
            if since >= stack[i][1] then
                low = stack[i][2]
                break
            end
        end
    end
    -- Nor can more of the charge have been refilled than has come in since.
    local ms = max(0, now - since)
    if ms * limit.amount / limit.per < charged then
        low = max(low, charged - mul_div(ms, limit.amount, 0, limit.per) - 1)
    end
    local back = min(amount, low, state.used)
    for i = 1, #stack do
        local until_time = i < #stack and stack[i + 1][1] or state.top
        if until_time > since then
            stack[i][2] = max(0, stack[i][2] - back)
        else
            stack[i][2] = min(stack[i][2], max(0, low - back))
        end
    end
    state.used = state.used - back
    if state.used == 0 then
        bucket_empty_out(state)
    else
        bucket_forget_lows(state)
    end
end

local function bucket_refresh(state, last, now)
    local at = last
    holds_turn(state, last, now, function(_, deadline, amount)
        bucket_refill(state, deadline - at)
        bucket_charge(state, amount, deadline)
        at = deadline
    end)
    bucket_refill(state, now - at)
end

-- Milliseconds until used + held <= room, if nobody else comes. What is held turns into a charge at its deadline, and can
-- only be refilled from then on.
local function bucket_wait(state, room, now)
    local limit = state.limit
    local used, rem, held, at = state.used, state.rem, state.held, now
    local holds = held > 0 and holds_between(state, now, now + 2 ^ 40) or {}
    for i = 1, #holds + 1 do
        local ms
        if held <= room then
            ms = used + held <= room and 0 or time_for(used + held - room, limit.amount, rem, limit.per)
        end
        if i > #holds or ms and at + ms <= holds[i][1] then
            return at + ms - now
        end
        local virtual = { limit = limit, used = used, rem = rem, stack = {}, top = 0 }
        bucket_refill(virtual, holds[i][1] - at)
        used, rem, at = virtual.used + holds[i][2], virtual.rem, holds[i][1]
        held = held - holds[i][2]
    end
end
