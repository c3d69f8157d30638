-- Rolling window. `used` is the sum of the slots that still count. Slot n holds what was charged between n * width and
-- (n + 1) * width and counts until a whole period and the slack after its end, so that no window of one period, wherever
-- it begins, can hold more than the amount.

local function rolling_field(limit, slot)
    return limit.sig .. ':' .. slot
end

-- The oldest slot that still counts at `now`.
local function rolling_first(limit, now)
    return floor((now - limit.stay) / limit.width)
end

local function rolling_fields(limit, first, last)
    local fields = {}
    for slot = first, last do
        fields[#fields + 1] = rolling_field(limit, slot)
    end
    return fields
end

local function rolling_charge(state, amount, at)
    local limit = state.limit
    local field = rolling_field(limit, floor(at / limit.width))
    slot_set(state.bucket, field, slot_get(state.bucket, field) + amount)
    state.used = state.used + amount
end

-- Gives back into the slot that was charged, if it still counts; a later window never gains from it.
local function rolling_refund(state, amount, since, _, now)
    local limit = state.limit
    local slot = floor(since / limit.width)
    if slot < rolling_first(limit, now) then
        return
    end
    local field = rolling_field(limit, slot)
    local value = slot_get(state.bucket, field)
    amount = min(amount, value)
    slot_set(state.bucket, field, value - amount)
    state.used = state.used - amount
end

local function rolling_refresh(state, last, now)
    local limit, bucket = state.limit, state.bucket
    local first, gone = rolling_first(limit, last), rolling_first(limit, now) - 1
    gone = min(gone, floor(last / limit.width))
    if gone >= first then
        local fields = rolling_fields(limit, first, gone)
        slots_fetch(bucket, fields)
        for i = 1, #fields do
            local value = slot_get(bucket, fields[i])
            if value > 0 then
                state.used = state.used - value
                slot_set(bucket, fields[i], 0)
            end
        end
    end
    holds_turn(state, last, now, function(_, deadline, amount)
        if floor(deadline / limit.width) >= rolling_first(limit, now) then
            rolling_charge(state, amount, deadline)
        end
    end)
end

-- Milliseconds until used + held <= room. What is held is charged at its deadline and counts a period longer.
local function rolling_wait(state, room, now)
    local limit, bucket = state.limit, state.bucket
    local excess = state.used + state.held - room
    if excess <= 0 then
        return 0
    end
    local first, current = rolling_first(limit, now), floor(now / limit.width)
    local fields = rolling_fields(limit, first, current)
    slots_fetch(bucket, fields)
    for i = 1, #fields do
        excess = excess - slot_get(bucket, fields[i])
        if excess <= 0 then
            return (first + i) * limit.width + limit.stay - now
        end
    end
    local holds = holds_between(state, now, now + 2 ^ 40)
    for i = 1, #holds do
        excess = excess - holds[i][2]
        if excess <= 0 then
            return (floor(holds[i][1] / limit.width) + 1) * limit.width + limit.stay - now
        end
    end
    return 0
end
