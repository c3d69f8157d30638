-- Calls in flight. A slot is held from grant to report, and freed when the reservation expires.

local function nothing()
end

local function concurrent_refresh(state, last, now)
    holds_turn(state, last, now, nothing)
end

-- Milliseconds until held <= room, if no call ends before its deadline.
local function concurrent_wait(state, room, now)
    local excess = state.held - room
    if excess <= 0 then
        return 0
    end
    local holds = holds_between(state, now, now + 2 ^ 40)
    for i = 1, #holds do
        excess = excess - holds[i][2]
        if excess <= 0 then
            return holds[i][1] - now
        end
    end
    return 0
end
