-- Calendar. `used` is what was charged since the period (a day or a month of a time zone) began. The server sends the
-- beginnings of the period that it believes in, and of the two after it; the store's clock decides which one it is, and
-- a batch for which it is none of them is sent back unread (STALE).

local function calendar_start(limit, now)
    if now >= limit.bound1 then
        return limit.bound1, limit.bound2
    end
    return limit.bound0, limit.bound1
end

local function calendar_stale(limit, now)
    return now < limit.bound0 or now >= limit.bound2
end

local function calendar_charge(state, amount)
    state.used = state.used + amount
end

-- Yesterday's charges are gone; giving them back today would be a gift.
local function calendar_refund(state, amount, since, _, now)
    if since >= calendar_start(state.limit, now) then
        state.used = state.used - min(amount, state.used)
    end
end

local function calendar_refresh(state, last, now)
    local start = calendar_start(state.limit, now)
    if last < start then
        state.used = 0
    end
    holds_turn(state, last, now, function(_, deadline, amount)
        if deadline >= start then
            state.used = state.used + amount
        end
    end)
end

-- Milliseconds until used + held <= room: the next reset, unless what is held beyond it (a call that runs over midnight)
-- is too much; then the one after it, when no reservation of today lives any more.
local function calendar_wait(state, room, now)
    if state.used + state.held <= room then
        return 0
    end
    local limit = state.limit
    local start, reset = calendar_start(limit, now)
    local over = state.held
    if over > room then
        local ending = holds_between(state, now, reset)
        for i = 1, #ending do
            over = over - ending[i][2]
        end
    end
    if over > room and start == limit.bound0 then
        reset = limit.bound2
    end
    return reset - now
end
