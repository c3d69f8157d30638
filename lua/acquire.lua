-- Acquiring: does the cost fit into every limit of every bucket, and if so, charge it everywhere.

local acquire, unfold_all, how_many_fit, why_not, grant_all, keep_all, deadline_of

do
    -- What each limit of a set lets this priority have in use.
    local function most_of(set, priority)
        local most = {}
        for j = 1, #set do
            most[j] = set[j].capacity - set[j][priority]
        end
        set[-priority] = most
        return most
    end

    -- How many of up to n equal costs fit, by the tightest limit.
    function how_many_fit(cost, n)
        local priority = o.priority + 1
        for i = 1, o.targets do
            local b = o[i]
            local set, base, t = set_of[b], first_of[b], plain_of[b]
            local most = set[-priority] or most_of(set, priority)
            if t then
                n = plain_fit(set, t, most, cost, n)
            else
                for j = 1, #set do
                    local c = cost[set[j].unit]
                    if c > 0 then
                        local room = most[j] - used[base + j] - held[base + j]
                        if room < c * n then
                            n = room < c and 0 or floor(room / c)
                        end
                    end
                end
            end
            if n == 0 then
                return 0
            end
        end
        return n
    end

    function unfold_all()
        for i = 1, o.targets do
            if plain_of[o[i]] then
                plain_unfold(o[i])
            end
        end
    end

    -- Which limit refuses, and when would it not? The longest wait is the answer: the bucket's and the limit's place (from 0)
    -- and the milliseconds; -1 is never.
    function why_not(cost, now)
        local longest, at_bucket, at_limit = 0, 0, 0
        unfold_all()
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

    local function charge_states(b, cost, n, class, deadline, now)
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
    end

    -- Charges what was granted; `reservations` of the n are new.
    function grant_all(cost, n, reservations, class, deadline, now)
        for i = 1, o.targets do
            local b = o[i]
            local t = plain_of[b]
            dirty[b] = true
            if t then
                plain_charge(set_of[b], t, cost, n, now)
            else
                charge_states(b, cost, n, class, deadline, now)
                if books_of[b] then
                    books_grant(b, deadline, cost, n, reservations)
                end
            end
        end
    end

    -- Buckets that keep books or slots stay until the reservation's record is gone, or at least its deadline has passed.
    function keep_all(deadline, ttl)
        local gone = deadline + (ttl > GRACE and ttl or GRACE)
        for i = 1, o.targets do
            local b = o[i]
            if slots_of[b] then
                local kept = books_of[b] and gone or deadline
                if kept > keep_of[b] then
                    keep_of[b] = kept
                end
            end
        end
    end

    local deadline_ttl, deadline_class, deadline_width -- of the last one: most ask for the same

    function deadline_of(ttl, now)
        if ttl ~= deadline_ttl then
            deadline_ttl, deadline_class, deadline_width = ttl, held_class(ttl)
        end
        return ceil((now + ttl) / deadline_width) * deadline_width, deadline_class
    end

    -- A group that was granted in part, and whose fate was unknown to who sent it: the others join with its deadline, unless
    -- it has ended or was added to meanwhile.
    local function join(r, fit, now)
        if not r.deadline or r.deadline <= now or #r.parts > 1 then
            return 0
        end
        grant_all(o.cost, fit, fit, r.class, r.deadline, now)
        keep_all(r.deadline, o.ttl)
        slice_keep(o.slice, r.deadline, o.ttl)
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
                if r.deadline and (r.most > 0 or r.stated_input > 0) then
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
                grant_all(cost, fit, fit, class, deadline, now)
                keep_all(deadline, o.ttl)
                slice_keep(o.slice, deadline, o.ttl)
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
