-- Settling: a report or a cancel puts right what was charged as an estimate.

-- What was used of each unit, from what the report states and, for the rest, the estimate. README.md has the rules.
local function actual_use(o, r, estimate)
    local function stated(unit)
        return floor(o.stated / 2 ^ (unit - 1)) % 2 == 1
    end
    local use = {}
    for unit = 1, BOOKED do
        use[unit] = stated(unit) and o.cost[unit] or estimate[unit]
    end
    local tokens, input, output = stated(2), stated(3), stated(4)
    if not tokens and (input or output) then
        if input and output then
            use[2] = use[3] + use[4]
        elseif r.split_unknown then
            use[2] = max(estimate[2], input and use[3] or use[4])
        else
            use[2] = max(0, estimate[2] + use[3] - estimate[3] + use[4] - estimate[4])
        end
    elseif tokens and r.split_unknown then
        if not input then
            use[3] = output and max(0, use[2] - use[4]) or use[2]
        end
        if not output then
            use[4] = input and max(0, use[2] - use[3]) or use[2]
        end
    end
    if o.partial then
        -- A call that was cut short is not free: the provider has read the input at least.
        use[3] = max(input and use[3] or 0, estimate[3])
        if not output and not r.split_unknown then
            use[4] = 0
        end
        local least = estimate[3] > 0 and max(estimate[3], output and use[3] + use[4] or 0) or estimate[2]
        use[2] = max(tokens and use[2] or 0, least)
    end
    return use
end

-- Corrects one limit: `use` instead of the estimate that the parts charged.
local function settle_limit(state, r, use, estimate, cancelled, late, now)
    local limit = state.limit
    local unit = limit.unit
    if limit.holds and not late then
        local held = 0
        for i = 1, #r.parts do
            if r.parts[i][1] >= state.since then
                held = held + r.parts[i][unit + 1]
            end
        end
        if held > 0 then
            hold_sub(state, r.class, r.deadline, held)
        end
        if limit.at_end and use > 0 then
            limit_charge(state, use, now)
        end
        return
    end
    if limit.algorithm == CONCURRENT then
        return -- freed when it expired
    end
    local more = use - estimate
    if more > 0 then
        limit_charge(state, more, now)
    elseif more < 0 and (limit.settle or cancelled) then
        local back = -more
        for i = #r.parts, 1, -1 do
            local part = r.parts[i]
            local share = min(back, part[unit + 1])
            if share > 0 and part[1] >= state.since then
                -- What was held became a charge when the reservation expired.
                local at = limit.at_end and r.deadline or part[1]
                limit_refund(state, share, at, part[unit + 1], now)
            end
            back = back - share
        end
    end
end

local function settle(o, now)
    local r, member = member_find(o)
    if not r then
        return NOSUCH
    end
    if member_state(r, member) ~= 'o' then
        -- Sent again by the server, which does not know whether it arrived the first time: the same answer.
        local answers = { s = SETTLED, c = SETTLED, l = LATE }
        return o.again and answers[member_state(r, member)] or DUPLICATE
    end
    local cancelled, late = o.kind == CANCEL, now >= r.deadline
    local estimate = record_estimate(r)
    local use = cancelled and { 0, 0, 0, 0, 0 } or actual_use(o, r, estimate)
    use[6] = 0
    for i = 1, #o do
        local bucket = o[i]
        for j = 1, #bucket.set do
            local unit = bucket.set[j].unit
            settle_limit(bucket[j], r, use[unit], estimate[unit], cancelled, late, now)
        end
        local counted = { estimate[1], estimate[2], estimate[3], estimate[4], estimate[5], 1 }
        books_settle(bucket, r.deadline, counted, use, cancelled, now)
        bucket.dirty = true
    end
    member_mark(r, member, cancelled and 'c' or late and 'l' or 's', now)
    return late and LATE or SETTLED
end
