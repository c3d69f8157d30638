-- Acquiring: does the cost fit into every limit of every bucket, and if so, charge it everywhere.

local acquire, how_many_fit, why_not, charge_all, keep_all, deadline_of

do
    -- How many of up to n equal costs fit, by the tightest limit.
    function how_many_fit(cost, n)
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
    function why_not(cost, now)
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

    function charge_all(cost, n, class, deadline, now)
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
    function keep_all(deadline, ttl)
        for i = 1, o.targets do
            local b = o[i]
            if slots_of[b] then
                keep_of[b] = max(keep_of[b], deadline + (books_of[b] and max(ttl, GRACE) or 0))
            end
        end
    end

    function deadline_of(ttl, now)
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
        if o.estimates then
            if not know.learned_cost then
                know.open_learned()
            end
            know.learned_cost(cost)
        end
        local known = know.of[o[1]]
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
                if r.most and r.most > 0 then
                    -- What was learned since is not for this group: its members are settled as one.
                    for unit = 1, UNITS do
                        cost[unit] = r.parts[1][unit + 1]
                    end
                end
            end
        end
        local fit = how_many_fit(cost, o.n - had)
        if known and fit > 0 then
            fit = know.room(known, fit, r, now)
        end
        if fit > 0 and not o.dry then
            if r then
                fit = join(r, fit, now)
            else
                local deadline, class = deadline_of(o.ttl, now)
                grant_all(cost, fit, class, deadline, now)
                record_write_new(fit, deadline, class, now)
                o.slice.names = o.names
                if known then
                    know.granted(known, deadline)
                end
            end
        end
        local granted = had + fit
        if granted >= o.n then
            return GRANTED, granted
        end
        local at_bucket, at_limit, wait = why_not(cost, now)
        if known then
            at_bucket, at_limit, wait = know.refusal(known, at_bucket, at_limit, wait, now)
        end
        if wait == 0 then
            wait = 1 -- all would fit, but not into this group any more, or not without writing (a dry run of several)
        end
        return granted > 0 and GRANTED or DENIED, granted, at_bucket, at_limit, wait
    end
end
