-- Settling: a report or a cancel puts right what was charged as an estimate.

local settle

do
    -- Corrects one limit: `usage` instead of the estimate that the parts charged. `now` is its bucket's time.
    local function settle_limit(s, r, usage, estimate, cancelled, now)
        local limit, late = limit_of[s], now >= r.deadline
        local unit = limit.unit
        if limit.holds and not late then
            local on_hold = 0
            for i = 1, #r.parts do
                if r.parts[i][1] >= since[s] then
                    on_hold = on_hold + r.parts[i][unit + 1]
                end
            end
            if on_hold > 0 then
                held_sub(s, r.class, r.deadline, on_hold)
            end
            if limit.at_end and usage > 0 then
                limit_charge(s, usage, now)
            end
            return
        end
        if limit.algorithm == CONCURRENT then
            return -- freed when it expired
        end
        local more = usage - estimate
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
            return o.resent and ANSWERS[state] or DUPLICATE
        end
        local cancelled, late = o.kind == CANCEL, apart.over(r, now)
        local estimate = reservation_estimate(r)
        local usage = cancelled and NOTHING_USED or actual_usage(o.stated, o.cost, estimate, r.split_unknown, o.partial)
        if o.feedback or health.of[o[1]] then
            health.report(r, usage, time_of(o[1], now))
        end
        for i = 1, o.targets do
            local b, view = o[i], r.views and r.views[i] or r
            local set, base, at = set_of[b], first_of[b], ahead and ahead[b] or now
            if plain_of[b] and plain_open(b, at) then
                plain_settle(b, view.parts, usage, estimate, cancelled, at)
            else
                for j = 1, #set do
                    local unit = set[j].unit
                    if usage[unit] ~= estimate[unit] or set[j].holds then
                        settle_limit(base + j, view, usage[unit], estimate[unit], cancelled, at)
                    end
                end
            end
            if outstanding.counts[b] then
                outstanding.take(b, view.deadline, view.class, at)
            end
            if ledger_of[b] then
                ledger_settle(b, view.deadline, estimate, usage, cancelled, at)
            end
            dirty[b] = true
        end
        member_mark(r, member, late and 'l' or cancelled and 'c' or 's')
        if o.estimates and (r.most > 0 or r.stated_input > 0) and #r.parts == 1 then
            local which, over_output, over_input = estimates.teach(r, usage, estimate) -- how wrong it was
            return late and LATE or SETTLED, 0, which, 0, over_output, which > 1 and over_input
        end
        return late and LATE or SETTLED
    end
end
