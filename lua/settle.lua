-- Settling: a report or a cancel puts right what was charged as an estimate.

local settle

local function settle_open() -- when the first report or cancel comes
    -- What was used of each unit, from what the report states and, for the rest, the estimate. README.md has the rules.
    local function actual_use(r, estimate)
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
        elseif tokens and input ~= output then
            if input then
                use[4] = max(0, use[2] - use[3])
            else
                use[3] = max(0, use[2] - use[4])
            end
        elseif tokens and r.split_unknown and not input then
            use[3], use[4] = use[2], use[2]
        end
        if o.partial then
            -- A call that was cut short is not free: the provider has read the input at least.
            if r.split_unknown then
                use[3] = max(use[3], estimate[3])
            else
                -- Whatever tokens were reported beyond the input are output.
                use[3] = max(input and use[3] or 0, estimate[3])
                use[4] = output and use[4] or tokens and max(0, use[2] - use[3]) or 0
            end
            local least = estimate[3] > 0 and max(estimate[3], output and use[3] + use[4] or 0) or estimate[2]
            use[2] = max(tokens and use[2] or 0, least)
        end
        return use
    end

    -- Corrects one limit: `use` instead of the estimate that the parts charged.
    local function settle_limit(s, r, use, estimate, cancelled, late, now)
        local limit = limit_of[s]
        local unit = limit.unit
        if limit.holds and not late then
            local on_hold = 0
            for i = 1, #r.parts do
                if r.parts[i][1] >= since[s] then
                    on_hold = on_hold + r.parts[i][unit + 1]
                end
            end
            if on_hold > 0 then
                hold_sub(s, r.class, r.deadline, on_hold)
            end
            if limit.at_end and use > 0 then
                limit_charge(s, use, now)
            end
            return
        end
        if limit.algorithm == CONCURRENT then
            return -- freed when it expired
        end
        local more = use - estimate
        if more > 0 then
            limit_charge(s, more, now)
        elseif more < 0 and (limit.settle or cancelled) then
            local back = -more
            for i = #r.parts, 1, -1 do
                local part = r.parts[i]
                local share = min(back, part[unit + 1])
                if share > 0 and part[1] >= since[s] then
                    -- What was held became a charge when the reservation expired.
                    local at = limit.at_end and r.deadline or part[1]
                    limit_refund(s, share, at, now)
                end
                back = back - share
            end
        end
    end

    local NOTHING_USED = { 0, 0, 0, 0, 0, 0 }
    local ANSWERS = { s = SETTLED, c = SETTLED, l = LATE }

    function settle(now)
        local r, member = member_find()
        if not r then
            return NOSUCH
        end
        local state = member_state(r, member)
        if state ~= 'o' then
            -- Sent again by the server, which does not know whether it arrived the first time: the same answer.
            return o.again and ANSWERS[state] or DUPLICATE
        end
        local cancelled, late = o.kind == CANCEL, now >= r.deadline
        local estimate = record_estimate(r)
        local use = cancelled and NOTHING_USED or actual_use(r, estimate)
        use[6] = 0
        if o.news or know.of[o[1]] then
            if not know.report then
                know.open()
            end
            know.report(r, use, now)
        end
        for i = 1, o.targets do
            local b = o[i]
            local set, base = set_of[b], first_of[b]
            for j = 1, #set do
                local unit = set[j].unit
                settle_limit(base + j, r, use[unit], estimate[unit], cancelled, late, now)
            end
            if books_of[b] then
                local counted = { estimate[1], estimate[2], estimate[3], estimate[4], estimate[5], 1 }
                books_settle(b, r.deadline, counted, use, cancelled, now)
            end
            dirty[b] = true
        end
        member_mark(r, member, late and 'l' or cancelled and 'c' or 's')
        if o.estimates and r.most > 0 and #r.parts == 1 then
            if not know.learned_teach then
                know.open_learned()
            end
            know.learned_teach(r.most, use[4])
            return late and LATE or SETTLED, 0, 1, 0, estimate[4] - use[4] -- how wrong it was
        end
        return late and LATE or SETTLED
    end
end
