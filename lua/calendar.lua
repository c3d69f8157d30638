-- Calendar. `used` is what was charged since the period (a day or a month in a time zone) began.
-- The server sends the start of the period that it takes to be the current one, and of the two
-- after it; the store's clock decides which period it is. If it is none of those, the batch is sent
-- back unread (STALE).

local function calendar_start(limit, now)
    if now >= limit.bound1 then
        return limit.bound1, limit.bound2
    end
    return limit.bound0, limit.bound1
end

local function calendar_stale(limit, now)
    return now < limit.bound0 or now >= limit.bound2
end

local function calendar_charge(s, amount)
    used[s] = used[s] + amount
end

-- Yesterday's charges are gone; refunding them today would be a gift.
local function calendar_refund(s, amount, from, now)
    if from >= calendar_start(limit_of[s], now) then
        used[s] = used[s] - min(amount, used[s])
    end
end

local function calendar_refresh(s, last, now)
    local start = calendar_start(limit_of[s], now)
    if last < start then
        used[s] = 0
    end
    if classes[s] ~= 0 then
        held_turn(s, last, now, function(_, deadline, amount)
            if deadline >= start then
                used[s] = used[s] + amount
            end
        end)
    end
end

-- Milliseconds until used + held <= room: the next reset, or the one after it if what is held
-- beyond the next (by calls that run past midnight) is too much; no reservation made today lives
-- until then.
local function calendar_wait(s, room, now)
    if used[s] + held[s] <= room then
        return 0
    end
    local limit = limit_of[s]
    local start, reset = calendar_start(limit, now)
    local over = held[s]
    if over > room then
        local ending = held_between(s, now, reset)
        for i = 1, #ending do
            if ending[i][1] < reset then
                over = over - ending[i][2]
            end
        end
    end
    if over > room and start == limit.bound0 then
        reset = limit.bound2
    end
    return reset - now
end
