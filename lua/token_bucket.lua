-- Token bucket. What is missing from full is `used` less the fraction `rem` / per that has come in of its last unit: it falls
-- by amount / per a millisecond, never below zero, and may exceed the capacity (debt).
--
-- Giving back needs more than the level. A charge of 100 that was refilled long ago cannot be given back: had it not
-- been charged, the bucket would have stood full and the refill would have been lost. What may be given back is the
-- least that was missing at any moment since the charge. `lows` remembers those: triples of a time and a low (used, rem),
-- times and lows rising, so that since a charge made at or after an entry's time (and before the next one's) the level
-- has never been below that low; since `top` it has never been below what it is now.

local NO_LOWS = {} -- also whatever else is empty
local bucket_charge, bucket_refund, bucket_refresh, bucket_wait

do
    local LOWS = 8

    local function bucket_forget_lows(s)
        local list, u, r = lows[s], used[s], rem[s]
        local n = #list
        while n > 0 and (list[n - 1] > u or list[n - 1] == u and list[n] <= r) do
            top[s] = list[n - 2]
            list[n], list[n - 1], list[n - 2] = nil, nil, nil
            n = n - 3
        end
        while n > 0 and list[2] == 0 do
            for _ = 1, 3 do
                table.remove(list, 1)
            end
            n = n - 3
        end
    end

    local function bucket_empty_out(s)
        used[s], rem[s], lows[s] = 0, 0, NO_LOWS
    end

    local function bucket_refill(s, ms)
        local u = used[s]
        if ms <= 0 or u == 0 then
            return
        end
        local limit = limit_of[s]
        -- Far more than enough is decided in floating point, which keeps the exact path within its range.
        if ms * limit.amount / limit.per > u * 1.000001 + 2 then
            bucket_empty_out(s)
            return
        end
        local came
        came, rem[s] = mul_div(ms, limit.amount, rem[s], limit.per)
        if came >= u then
            bucket_empty_out(s)
            return
        end
        used[s] = u - came
        if lows[s] ~= NO_LOWS then
            bucket_forget_lows(s)
        end
    end

    -- One low too many: of two neighbours that are most alike in proportion the lower stands for both. At the worst too
    -- little is given back, never too much; as lows stay apart in proportion, hardly ever too little.
    local function merge_lows(list)
        local most, at = -1, 5
        for i = 2, #list - 3, 3 do
            local alike = list[i] / list[i + 3]
            if alike > most then
                most, at = alike, i + 2
            end
        end
        for _ = 1, 3 do
            table.remove(list, at)
        end
    end

    function bucket_charge(s, amount, at)
        local u = used[s]
        if u == 0 then
            lows[s], top[s] = NO_LOWS, at
        elseif top[s] < at then
            local list = lows[s]
            if list == NO_LOWS then
                lows[s] = { top[s], u, rem[s] }
            else
                local n = #list
                list[n + 1], list[n + 2], list[n + 3] = top[s], u, rem[s]
                if n + 3 > 3 * LOWS then
                    merge_lows(list)
                end
            end
            top[s] = at
        end
        used[s] = u + amount
    end

    -- a - b of levels, not below zero.
    local function less(u, r, u2, r2, per)
        u, r = u - u2, r - r2
        if r < 0 then
            u, r = u + 1, r + per
        end
        if u < 0 or u == 0 then
            return 0, 0
        end
        return u, r
    end

    -- Gives back up to `amount` of a charge made at `from`.
    function bucket_refund(s, amount, from)
        local per, list = limit_of[s].per, lows[s]
        if used[s] == 0 then
            return
        end
        local low, low_rem = 0, 0
        if from >= top[s] then
            low, low_rem = used[s], rem[s]
        else
            for i = #list - 2, 1, -3 do
                if from >= list[i] then
                    low, low_rem = list[i + 1], list[i + 2]
                    break
                end
            end
        end
        local back, back_rem = amount, 0
        if low < amount or low == amount and low_rem > 0 then
            back, back_rem = low, low_rem
        end
        local rest, rest_rem = less(low, low_rem, back, back_rem, per)
        for i = 1, #list, 3 do
            if (list[i + 3] or top[s]) > from then
                list[i + 1], list[i + 2] = less(list[i + 1], list[i + 2], back, back_rem, per)
            elseif list[i + 1] > rest or list[i + 1] == rest and list[i + 2] < rest_rem then
                list[i + 1], list[i + 2] = rest, rest_rem
            end
        end
        used[s], rem[s] = less(used[s], rem[s], back, back_rem, per)
        if used[s] == 0 then
            bucket_empty_out(s)
        elseif list ~= NO_LOWS then
            bucket_forget_lows(s)
        end
    end

    function bucket_refresh(s, last, now)
        if classes[s] ~= 0 then
            holds_turn(s, last, now, function(_, deadline, amount)
                bucket_refill(s, deadline - last)
                bucket_charge(s, amount, deadline)
                last = deadline
            end)
        end
        bucket_refill(s, now - last)
    end

    -- Milliseconds until used + held <= room, if nobody else comes. What is held turns into a charge at its deadline, and
    -- can only be refilled from then on.
    function bucket_wait(s, room, now)
        local limit = limit_of[s]
        local in_use, rest, on_hold, at = used[s], rem[s], held[s], now
        local list = on_hold > 0 and holds_between(s, now, now + 2 ^ 40) or NO_LOWS
        for i = 1, #list + 1 do
            local ms
            if on_hold <= room then
                ms = in_use + on_hold <= room and 0
                    or time_for(in_use + on_hold - room, limit.amount, rest, limit.per)
            end
            if i > #list or ms and at + ms <= list[i][1] then
                return min(at + ms - now, FOREVER)
            end
            -- Up to the next deadline it refills as usual; the state is put back afterwards.
            local kept_used, kept_rem, kept_lows, kept_top = used[s], rem[s], lows[s], top[s]
            used[s], rem[s], lows[s] = in_use, rest, NO_LOWS
            bucket_refill(s, list[i][1] - at)
            in_use, rest, at = used[s] + list[i][2], rem[s], list[i][1]
            used[s], rem[s], lows[s], top[s] = kept_used, kept_rem, kept_lows, kept_top
            on_hold = on_hold - list[i][2]
        end
    end
end
