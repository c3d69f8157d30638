-- Acquiring and renewing: does the cost fit into every limit of every bucket, and if so, charge it everywhere.

local CONCURRENT_UNIT = 6

-- How many of up to n equal costs fit, by the tightest limit.
local function how_many_fit(o, cost, n)
    for i = 1, #o do
        local bucket = o[i]
        for j = 1, #bucket.set do
            local c = cost[bucket.set[j].unit]
            if c > 0 then
                local room = limit_room(bucket[j], o.priority)
                if room < c * n then
                    n = room < c and 0 or floor(room / c)
                    if n == 0 then
                        return 0
                    end
                end
            end
        end
    end
    return n
end

-- Which limit refuses, and when would it not? The longest wait is the answer: the bucket's and the limit's place (from 0)
-- and the milliseconds; -1 is never.
local function why_not(o, cost, now)
    local longest, at_bucket, at_limit = 0, 0, 0
    for i = 1, #o do
        local bucket = o[i]
        for j = 1, #bucket.set do
            local state, limit = bucket[j], bucket.set[j]
            local c = cost[limit.unit]
            if c > 0 and limit_room(state, o.priority) < c then
                local most = limit.capacity - limit[o.priority + 1]
                if c > most then
                    return i - 1, j - 1, -1
                end
                local wait = max(1, limit_wait(state, most - c, now))
                if wait > longest then
                    longest, at_bucket, at_limit = wait, i - 1, j - 1
                end
            end
        end
    end
    return at_bucket, at_limit, longest
end

local function charge_all(o, cost, n, class, deadline, now)
    for i = 1, #o do
        local bucket = o[i]
        for j = 1, #bucket.set do
            local limit, state = bucket.set[j], bucket[j]
            local amount = cost[limit.unit] * n
            if amount > 0 then
                if limit.holds then
                    hold_add(state, class, deadline, amount)
                else
                    limit_charge(state, amount, now)
                end
            end
        end
        bucket.dirty = true
    end
end

-- Buckets that keep books or slots stay until the reservation's record is gone, or at least its deadline has passed.
local function keep_all(o, deadline, ttl)
    for i = 1, #o do
        if o[i].slots_key then
            o[i].keep = max(o[i].keep, deadline + (o[i].books and max(ttl, GRACE) or 0))
        end
    end
end

local function deadline_of(ttl, now)
    local class, width = held_class(ttl)
    return ceil((now + ttl) / width) * width, class
end

local function booked(cost, n)
    return { cost[1] * n, cost[2] * n, cost[3] * n, cost[4] * n, cost[5] * n, n }
end

-- Answers: outcome, how many of the o.n are granted, and for the others the bucket, the limit and the wait.
local function acquire(o, now)
    local cost, had = o.cost, 0
    local r
    if o.again then
        r = record_get(o.slice, o.nonce)
        if r and r.check ~= o.check then
            return FOREIGN, 0
        end
        if r then
            had = #r.states
            if had >= o.n then
                return GRANTED, o.n
            end
        end
    end
    local fit = how_many_fit(o, cost, o.n - had)
    if fit > 0 and not o.dry then
        local deadline, class = deadline_of(o.ttl, now)
        if r then
            -- Only when a group's first sending was granted in part and its fate was unknown: the rest joins with the
            -- deadline of the first.
            deadline, class = r.deadline, r.class
        end
        if not r or deadline and deadline > now then
            charge_all(o, cost, fit, class, deadline, now)
            keep_all(o, deadline, o.ttl)
            for i = 1, #o do
                books_grant(o[i], deadline, booked(cost, fit))
            end
            if not r then
                r = record_new(o.slice, o.nonce, o.check)
                r.deadline, r.class, r.split_unknown = deadline, class, o.split_unknown
                record_add_part(r, now, cost)
            end
            r.states = r.states .. string.rep('o', fit)
            o.slice.names = o.names
            record_put(r, now, o.ttl)
        else
            fit = 0
        end
    end
    local granted = had + fit
    if granted >= o.n then
        return GRANTED, granted
    end
    return granted > 0 and GRANTED or DENIED, granted, why_not(o, cost, now)
end

-- Moves what is held to the new deadline.
local function move_holds(o, r, deadline, class)
    for i = 1, #o do
        local bucket = o[i]
        for j = 1, #bucket.set do
            local limit, state = bucket.set[j], bucket[j]
            if limit.holds then
                local held = 0
                for k = 1, #r.parts do
                    if r.parts[k][1] >= state.since then
                        held = held + r.parts[k][limit.unit + 1]
                    end
                end
                if held > 0 then
                    hold_sub(state, r.class, r.deadline, held)
                    hold_add(state, class, deadline, held)
                end
            end
        end
        bucket.dirty = true
    end
end

local function renew(o, now)
    local r, member = member_find(o)
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
    if how_many_fit(o, cost, 1) == 0 then
        return DENIED, 0, why_not(o, cost, now)
    end
    local deadline, class = deadline_of(o.ttl, now)
    if deadline < r.deadline then
        deadline, class = r.deadline, r.class -- a renewal never shortens
    end
    r = member_move(o, r, member, now)
    move_holds(o, r, deadline, class)
    local estimate = record_estimate(r)
    for i = 1, #o do
        if o[i].books then
            books_owe(o[i], r.deadline, booked(estimate, 1), -1)
            books_owe(o[i], deadline, booked(estimate, 1), 1)
        end
    end
    r.deadline, r.class, r.token = deadline, class, o.token or ''
    if cost[1] + cost[2] + cost[3] + cost[4] + cost[5] + cost[CONCURRENT_UNIT] > 0 then
        charge_all(o, cost, 1, class, deadline, now)
        local added = booked(cost, 1)
        added[6] = 0 -- the reservation is counted already
        for i = 1, #o do
            books_grant(o[i], deadline, added)
        end
        record_add_part(r, now, cost)
        r.split_unknown = r.split_unknown or o.split_unknown
    end
    keep_all(o, deadline, o.ttl)
    record_put(r, now, o.ttl)
    return GRANTED, 1
end
