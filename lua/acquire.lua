-- Acquiring: does the cost fit into every limit of every bucket, and if so, charge it everywhere.

local acquire, acquire_whole, acquire_begin, charge_run, unfold_all, how_many_fit, why_not, grant_all, keep_all

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

    -- How many of up to n equal costs fit into a bucket that is not plain.
    local function states_fit(b, cost, n, most)
        local set, base = set_of[b], first_of[b]
        for j = 1, #set do
            local c = cost[set[j].unit]
            if c > 0 then
                local room = most[j] - used[base + j] - held[base + j]
                if room < c * n then
                    n = room < c and 0 or floor(room / c)
                end
            end
        end
        return n
    end

    -- How many of up to n equal costs fit, by the tightest limit.
    function how_many_fit(cost, n, now)
        local priority = o.priority + 1
        for i = 1, o.targets do
            local b = o[i]
            local set, t = set_of[b], plain_of[b] and plain_open(b, time_of(b, now))
            local most = set[-priority] or most_of(set, priority)
            n = t and plain_fit(set, t, most, cost, n) or states_fit(b, cost, n, most)
            if n == 0 then
                return 0
            end
        end
        return n
    end

    -- The operation's buckets, each with columns of states.
    function unfold_all(now)
        for i = 1, o.targets do
            if plain_of[o[i]] and plain_open(o[i], time_of(o[i], now)) then
                plain_unfold(o[i])
            end
        end
    end

    -- Which limit refuses, and when would it not? The longest wait is the answer: the bucket's and the limit's place (from 0)
    -- and the milliseconds; -1 is never. A bucket that is ahead stands still until the store's clock has caught up.
    function why_not(cost, now)
        local longest, at_bucket, at_limit = 0, 0, 0
        unfold_all(now)
        for i = 1, o.targets do
            local b = o[i]
            local set, base, at = set_of[b], first_of[b], time_of(b, now)
            for j = 1, #set do
                local s, limit = base + j, set[j]
                local c, most = cost[limit.unit], limit.capacity - limit[o.priority + 1]
                if c > 0 and used[s] + held[s] + c > most then
                    if c > most then
                        return i - 1, j - 1, -1
                    end
                    local wait = min(max(1, limit_wait(s, most - c, at)) + at - now, FOREVER)
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
                    held_add(base + j, class, deadline, c * n)
                else
                    charge_by[limit.algorithm + 1](base + j, c * n, now)
                end
            end
        end
    end

    local counts, count_add = outstanding.counts, outstanding.add

    -- Charges one bucket with what was granted; `reservations` of the n are new.
    local function grant_one(b, cost, n, reservations, class, deadline, now)
        dirty[b] = true
        if counts[b] then
            count_add(b, reservations, deadline, class)
        end
        if plain_of[b] then
            plain_charge(b, cost, n, now)
        else
            charge_states(b, cost, n, class, deadline, now)
            if ledger_of[b] then
                ledger_grant(b, deadline, cost, n, reservations)
            end
        end
    end

    -- r: what of a reservation says until when: deadline, class and, where the buckets' times differ, views.
    function grant_all(cost, n, reservations, r, now)
        for i = 1, o.targets do
            local view = r.views and r.views[i] or r
            grant_one(o[i], cost, n, reservations, view.class, view.deadline, time_of(o[i], now))
        end
    end

    -- Buckets that keep a ledger or slots stay until the reservation's record is gone, or at least its deadline has passed.
    local function keep_one(b, deadline, ttl)
        if slots_of[b] then
            local kept = ledger_of[b] and deadline + (ttl > GRACE and ttl or GRACE) or deadline
            if kept > keep_of[b] then
                keep_of[b] = kept
            end
        end
    end

    function keep_all(r, ttl)
        for i = 1, o.targets do
            local deadline = (r.views and r.views[i] or r).deadline
            keep_one(o[i], deadline, ttl)
            slice_keep(o.slice, deadline, ttl)
        end
    end

    -- A group that was granted in part, and whose fate was unknown to who sent it: the others join with its deadline, unless
    -- it was added to meanwhile.
    local function join(r, fit, now)
        if #r.parts > 1 then
            return 0
        end
        grant_all(o.cost, fit, fit, r, now)
        keep_all(r, o.ttl)
        r.states = r.states .. rep('o', fit)
        reservation_put(r)
        return fit
    end

    -- A run: equal operations on one pool. Its room is computed when it begins, and it is charged at its end, once.
    local run_of, run_cost, run_priority, run_left, run_n, run_ttl -- run_of: which bucket; false: there is none
    local run_deadline, run_class, run_gone -- gone: when a record of it can no longer be reported

    function charge_run(now)
        local b = run_of
        run_of = false
        if b and run_n > 0 then
            grant_one(b, run_cost, run_n, run_n, run_class, run_deadline, now)
            keep_one(b, run_deadline, run_ttl)
        end
    end

    local function begin_run(b, now)
        charge_run(now)
        local set, priority = set_of[b], o.priority + 1
        run_left = states_fit(b, o.cost, 2 ^ 40, set[-priority] or most_of(set, priority))
        run_of, run_cost, run_priority, run_ttl, run_n = b, o.cost, o.priority, o.ttl, 0
        run_deadline, run_class = deadline_of(o.ttl, now)
        run_gone = run_deadline + (o.ttl > GRACE and o.ttl or GRACE)
    end

    function acquire_begin()
        run_of, o.shape, o.flags = false, false, false
        reservation_begin()
    end

    local function fits(b, cost, n, now)
        local set, priority, t = set_of[b], o.priority + 1, plain_of[b] and plain_open(b, now)
        local most = set[-priority] or most_of(set, priority)
        return (t and plain_fit(set, t, most, cost, n) or states_fit(b, cost, n, most)) >= n
            and (not counts[b] or outstanding.room(b) >= n)
    end

    -- Charges the operation's last bucket, if it fits.
    local function take(b, cost, n, class, deadline, now)
        if plain_of[b] then
            local set, priority = set_of[b], o.priority + 1
            if plain_take(b, cost, n, set[-priority] or most_of(set, priority), now) then
                dirty[b] = true
                if counts[b] then
                    count_add(b, n, deadline, class)
                end
                return true
            elseif plain_of[b] then
                return false
            end
        end
        if not fits(b, cost, n, now) then
            return false
        end
        grant_one(b, cost, n, n, class, deadline, now)
        keep_one(b, deadline, o.ttl)
        return true
    end

    local function simple(pool, now)
        local known = health.of[pool]
        return not (o.resent or o.dry or o.estimates or o.targets < 2 or plain_of[pool] or known and health.doubts(known, now)
            or ahead and (ahead[pool] or ahead[o[2]] or ahead[o[o.targets]]))
    end

    -- The acquire that a healthy service sees most: for the first time, and all that it asks for fits. Returns false where it is
    -- another; nothing was charged then.
    function acquire_whole(now)
        local pool, cost, n, targets = o[1], o.cost, o.n, o.targets
        o.refused = false
        if not simple(pool, now) then
            return false
        elseif pool ~= run_of or cost ~= run_cost or o.priority ~= run_priority then
            begin_run(pool, now)
        end
        local deadline, class = run_deadline, run_class
        if run_left < n or targets > 2 and not fits(o[2], cost, n, now) or not take(o[targets], cost, n, class, deadline, now) then
            o.refused = n == 1
            return false
        end
        run_left, run_n = run_left - n, run_n + n
        if targets > 2 then
            grant_one(o[2], cost, n, n, class, deadline, now)
            keep_one(o[2], deadline, o.ttl)
        end
        local slice = o.slice
        if run_gone > slice.expiry then
            slice.expiry = run_gone
        end
        reservation_write_new(n, deadline, class, now)
        return true
    end

    local terms = { deadline = 0, class = 0, views = false } -- of a reservation whose buckets all have one time; reused

    -- The first `fit` of a group: what acquire_whole() has not done.
    local function grant_new(fit, now)
        local at = time_of(o[1], now)
        if apart.differ(now) then
            local r = apart.new(fit, now)
            grant_all(o.cost, fit, fit, r, now)
            keep_all(r, o.ttl)
            return r.deadline
        end
        terms.deadline, terms.class = deadline_of(o.ttl, at)
        grant_all(o.cost, fit, fit, terms, now)
        keep_all(terms, o.ttl)
        reservation_write_new(fit, terms.deadline, terms.class, at)
        return terms.deadline
    end

    -- How an acquire whose id has a record is answered at once: nil if more of its group may be granted.
    local function answer_from_record(r, now)
        if r.check ~= o.check then
            return FOREIGN, 0
        elseif not r.deadline or apart.over(r, now) then
            return ENDED, 0
        elseif not reservation_same_request(r, o.cost) then
            return FOREIGN, 0
        elseif #r.states >= o.n then
            return GRANTED, o.n
        end
    end

    -- Answers: outcome, how many of the o.n are granted, and for the others the bucket, the limit and the wait.
    function acquire(now)
        local cost, had, r = o.cost, 0, nil
        if o.resent then
            r = reservation_get(o.slice, o.nonce)
            if r then
                local outcome, granted = answer_from_record(r, now)
                if outcome then
                    return outcome, granted
                end
                had = #r.states
            end
        end
        if o.resent or o.estimates then
            o.shape = false -- the cost may be changed below
        end
        if r and (r.most > 0 or r.stated_input > 0) then
            -- What was learned since is not for this group: its members are settled as one.
            for unit = 1, UNITS do
                cost[unit] = r.parts[1][unit + 1]
            end
        elseif o.estimates then
            estimates.cost(cost)
        end
        local known = health.of[o[1]]
        local fit = o.refused and 0 or how_many_fit(cost, o.n - had, now)
        fit = fit > 0 and outstanding.fit(fit) or 0
        if known and fit > 0 then
            fit = health.room(known, fit, r, time_of(o[1], now))
        end
        if fit > 0 and not o.dry then
            if o.resent and not r and slice_full(o.slice) then
                return CROWDED, 0
            elseif r then
                fit = join(r, fit, now)
            else
                local deadline = grant_new(fit, now)
                if o.names then
                    slice_name(o.slice, o.owner, o.names, deadline, o.ttl)
                end
                if known then
                    health.granted(known, deadline)
                end
            end
        end
        local granted = had + fit
        if granted >= o.n then
            return GRANTED, granted
        end
        local at_bucket, at_limit, wait = why_not(cost, now)
        at_bucket, at_limit, wait = outstanding.refusal(at_bucket, at_limit, wait, now)
        if known then
            at_bucket, at_limit, wait = health.refusal(known, at_bucket, at_limit, wait, now)
        end
        if wait == 0 then
            wait = 1 -- all would fit, but not into this group any more, or not without writing (a dry run of several)
        end
        return granted > 0 and GRANTED or DENIED, granted, at_bucket, at_limit, wait
    end
end
