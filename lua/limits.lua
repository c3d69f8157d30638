-- What the four algorithms have in common: a table of their functions, and whether a cost fits.

local algorithms = {
    [BUCKET] = { refresh = bucket_refresh, charge = bucket_charge, refund = bucket_refund, wait = bucket_wait },
    [ROLLING] = { refresh = rolling_refresh, charge = rolling_charge, refund = rolling_refund, wait = rolling_wait },
    [CALENDAR] = { refresh = calendar_refresh, charge = calendar_charge, refund = calendar_refund, wait = calendar_wait },
    [CONCURRENT] = { refresh = concurrent_refresh, charge = nothing, refund = nothing, wait = concurrent_wait },
}

local function limit_refresh(state, last, now)
    algorithms[state.limit.algorithm].refresh(state, last, now)
end

local function limit_charge(state, amount, at)
    algorithms[state.limit.algorithm].charge(state, amount, at)
end

local function limit_refund(state, amount, since, charged, now)
    algorithms[state.limit.algorithm].refund(state, amount, since, charged, now)
end

-- Milliseconds until used + held <= room; room >= 0.
local function limit_wait(state, room, now)
    return algorithms[state.limit.algorithm].wait(state, room, now)
end

-- What a caller of this priority may fill: the capacity less what is kept back from it.
local function limit_room(state, priority)
    local limit = state.limit
    return limit.capacity - limit[priority + 1] - state.used - state.held
end
