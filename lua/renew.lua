-- Renewing: a reservation lives longer, and may grow.

local renew

do
    -- Moves what is held to the new deadline.
    local function move_holds(r, deadline, class)
        for i = 1, o.targets do
            local b = o[i]
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
    end

    local function move_books(r, deadline)
        local estimate = reservation_estimate(r)
        estimate[6] = 1 -- the ledger count reservations there
        for i = 1, o.targets do
            if ledger_of[o[i]] then
                ledger_outstanding(o[i], r.deadline, estimate, -1)
                ledger_outstanding(o[i], deadline, estimate, 1)
            end
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
        if member_state(r, member) ~= 'o' or now >= r.deadline then
            return ENDED, 0
        end
        local cost = o.cost
        if how_many_fit(cost, 1, now) == 0 then
            return DENIED, 0, why_not(cost, now)
        end
        local deadline, class = deadline_of(o.ttl, now)
        if deadline < r.deadline then
            deadline, class = r.deadline, r.class -- a renewal never shortens
        end
        r = member_move(r, member)
        move_holds(r, deadline, class)
        move_books(r, deadline)
        r.deadline, r.class, r.token = deadline, class, o.token or ''
        if health.of[o[1]] then
            health.renewed(health.of[o[1]], deadline)
        end
        if cost[1] + cost[2] + cost[3] + cost[4] + cost[5] + cost[UNITS] > 0 then
            grant_all(cost, 1, 0, class, deadline, now)
            reservation_add_part(r, now, cost)
            r.split_unknown = r.split_unknown or o.split_unknown
        end
        keep_all(deadline, o.ttl)
        slice_keep(o.slice, deadline, o.ttl)
        reservation_put(r)
        return GRANTED, 1
    end
end
