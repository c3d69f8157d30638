-- Renewing: a reservation lives longer, and may grow.

local renew

do
    -- Moves what bucket b holds to the new deadline.
    local function move_holds(b, r, deadline, class)
        local set, base = set_of[b], first_of[b]
        for j = 1, #set do
            local limit, s = set[j], base + j
            if limit.holds then
                local on_hold = 0
                for k = 1, #r.parts do
                    if r.parts[k][1] >= since[s] then
                        on_hold = on_hold + r.parts[k][limit.unit + 1]
                    end
                end
                if on_hold > 0 then
                    held_sub(s, r.class, r.deadline, on_hold)
                    held_add(s, class, deadline, on_hold)
                end
            end
        end
        dirty[b] = true
    end

    -- Until when, by the time of one bucket; a renewal never shortens.
    local function later(view, at)
        local deadline, class = deadline_of(o.ttl, at)
        if deadline < view.deadline then
            return view.deadline, view.class
        end
        return deadline, class
    end

    local function move(r, now)
        local estimate = reservation_estimate(r)
        estimate[6] = 1 -- the ledger counts reservations there
        for i = 1, o.targets do
            local b, view = o[i], r.views and r.views[i] or r
            local at = time_of(b, now)
            local deadline, class = later(view, at)
            move_holds(b, view, deadline, class)
            if outstanding.counts[b] then
                outstanding.take(b, view.deadline, view.class, at)
                outstanding.add(b, 1, deadline, class)
            end
            if ledger_of[b] then
                ledger_outstanding(b, view.deadline, estimate, -1)
                ledger_outstanding(b, deadline, estimate, 1)
            end
            if r.views then
                view.deadline, view.class = deadline, class
            end
        end
        if r.views then
            r.deadline, r.class = r.views[1].deadline, r.views[1].class
        else
            r.deadline, r.class = later(r, time_of(o[1], now))
        end
    end

    function renew(now)
        local r, member = member_find()
        if not r then
            return NOSUCH, 0
        end
        if o.token and r.token == o.token then
            return GRANTED, 1 -- this renewal was done before; its answer was lost
        end
        if member_state(r, member) ~= 'o' or apart.over(r, now) then
            return ENDED, 0
        end
        local cost = o.cost
        if how_many_fit(cost, 1, now) == 0 then
            return DENIED, 0, why_not(cost, now)
        end
        r = member_move(r, member)
        if not r.views and apart.differ(now) then
            apart.split(r)
        end
        move(r, now)
        r.token = o.token or ''
        if health.of[o[1]] then
            health.renewed(health.of[o[1]], r.deadline)
        end
        if cost[1] + cost[2] + cost[3] + cost[4] + cost[5] + cost[UNITS] > 0 then
            grant_all(cost, 1, 0, r, now)
            reservation_add_part(r, now, cost)
            r.split_unknown = r.split_unknown or o.split_unknown
        end
        keep_all(r, o.ttl)
        reservation_put(r)
        return GRANTED, 1
    end
end
