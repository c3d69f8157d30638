-- Calls in flight. A slot is held from the grant until the report, or until the reservation
-- expires.

local function nothing()
end

local function concurrent_refresh(s, last, now)
    if classes[s] ~= 0 then
        held_turn(s, last, now, nothing)
    end
end

-- Milliseconds until held <= room if no call ends before its deadline.
local function concurrent_wait(s, room, now)
    local excess = held[s] - room
    if excess <= 0 then
        return 0
    end
    local holds = held_between(s, now, now + 2 ^ 40)
    for i = 1, #holds do
        excess = excess - holds[i][2]
        if excess <= 0 then
            return holds[i][1] - now
        end
    end
    return 0
end
