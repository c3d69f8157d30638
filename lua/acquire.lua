-- Acquiring and renewing: does the cost fit into every limit of every bucket, and if so, charge it everywhere.

local acquire, renew

do
    -- How many of up to n equal costs fit, by the tightest limit.
    local function how_many_fit(cost, n)
        local priority = o.priority + 1
        for i = 1, o.targets do
            local b = o[i]
            local set, base = set_of[b], first_of[b]
            for j = 1, #set do
                local limit = set[j]
                local c = cost[limit.unit]
                if c > 0 then
                    local room = limit.capacity - limit[priority] - used[base + j] - held[base + j]
                    if room < c * n then
                        if room < c then
                            return 0
                        end
                        n = floor(room / c)
                    end
                end
            end
        end
        return n
    end

    -- Which limit refuses, and when would it not? The longest wait is the answer: the bucket's and the limit's place (from 0)
    -- and the milliseconds; -1 is never.
    local function why_not(cost, now)
        local longest, at_bucket, at_limit = 0, 0, 0
        for i = 1, o.targets do
            local b = o[i]
            local set, base = set_of[b], first_of[b]
            for j = 1, #set do
                local s, limit = base + j, set[j]
                local c, most = cost[limit.unit], limit.capacity - limit[o.priority + 1]
                if c > 0 and used[s] + held[s] + c > most then
                    if c > most then
                        return i - 1, j - 1, -1
                    end
                    local wait = max(1, limit_wait(s, most - c, now))
                    if wait > longest then
                        longest, at_bucket, at_limit = wait, i - 1, j - 1
                    end
                end
            end
        end
        return at_bucket, at_limit, longest
    end

    local function charge_all(cost, n, class, deadline, now)
        for i = 1, o.targets do
            local b = o[i]
            local set, base = set_of[b], first_of[b]
            for j = 1, #set do
                local limit = set[j]
                local c = cost[limit.unit]
                if c > 0 then
                    if limit.holds then
                        hold_add(base + j, class, deadline, c * n)
                    else
                        charge_by[limit.algorithm + 1](base + j, c * n, now)
                    end
                end
            end
            dirty[b] = true
        end
    end

    -- Buckets that keep books or slots stay until the reservation's record is gone, or at least its deadline has passed.
    local function keep_all(deadline, ttl)
        for i = 1, o.targets do
            local b = o[i]
            if slots_of[b] then
                keep_of[b] = max(keep_of[b], deadline + (books_of[b] and max(ttl, GRACE) or 0))
            end
        end
    end

    local function deadline_of(ttl, now)
        local class, width = held_class(ttl)
        return ceil((now + ttl) / width) * width, class
    end

    local function grant_all(cost, n, class, deadline, now)
        charge_all(cost, n, class, deadline, now)
        keep_all(deadline, o.ttl)
        slice_keep(o.slice, deadline, o.ttl)
        for i = 1, o.targets do
            if books_of[o[i]] then
                books_grant(o[i], deadline, cost, n, n)
            end
        end
    end

    -- A group that was granted in part, and whose fate was unknown to who sent it: the others join with its deadline, unless
    -- it has ended or was added to meanwhile.
    local function join(r, fit, now)
        if not r.deadline or r.deadline <= now or #r.parts > 1 then
            return 0
        end
        grant_all(o.cost, fit, r.class, r.deadline, now)
        r.states = r.states .. string.rep('o', fit)
        record_put(r)
        return fit
    end

    -- Answers: outcome, how many of the o.n are granted, and for the others the bucket, the limit and the wait.
    function acquire(now)
        local cost, had, r = o.cost, 0, nil
        if o.again then
            r = record_get(o.slice, o.nonce)
            if r then
                if r.check ~= o.check then
                    return FOREIGN, 0
                end
                had = #r.states
                if had >= o.n then
                    return GRANTED, o.n
                end
            end
        end
        local fit = how_many_fit(cost, o.n - had)
        if fit > 0 and not o.dry then
            if r then
                fit = join(r, fit, now)
            else
                local deadline, class = deadline_of(o.ttl, now)
                grant_all(cost, fit, class, deadline, now)
                record_write_new(fit, deadline, class, now)
                o.slice.names = o.names
            end
        end
        local granted = had + fit
        if granted >= o.n then
            return GRANTED, granted
        end
        return granted > 0 and GRANTED or DENIED, granted, why_not(cost, now)
    end

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
                        hold_sub(s, r.class, r.deadline, on_hold)
                        hold_add(s, class, deadline, on_hold)
                    end
                end
            end
            dirty[b] = true
        end
    end

    local function move_books(r, deadline)
        local estimate = record_estimate(r)
        estimate[6] = 1 -- the books count reservations there
        for i = 1, o.targets do
            if books_of[o[i]] then
                books_owe(o[i], r.deadline, estimate, -1)
                books_owe(o[i], deadline, estimate, 1)
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
        if how_many_fit(cost, 1) == 0 then
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
        if cost[1] + cost[2] + cost[3] + cost[4] + cost[5] + cost[UNITS] > 0 then
            charge_all(cost, 1, class, deadline, now)
            for i = 1, o.targets do
                if books_of[o[i]] then
                    books_grant(o[i], deadline, cost, 1, 0)
                end
            end
            record_add_part(r, now, cost)
            r.split_unknown = r.split_unknown or o.split_unknown
        end
        keep_all(deadline, o.ttl)
        slice_keep(o.slice, deadline, o.ttl)
        record_put(r)
        return GRANTED, 1
    end
end
