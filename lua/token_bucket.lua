-- Token bucket. What is missing from full is `used` less the fraction `rem` / per of its last unit
-- that has come in. It falls by amount / per a millisecond, never below zero, and may exceed the
-- capacity (debt).

local bucket_charge, bucket_refund, bucket_refresh, bucket_wait

do
    local function bucket_empty_out(s)
        used[s], rem[s], history[s] = 0, 0, ''
    end

    local function bucket_refill(s, ms)
        local u = used[s]
        if ms <= 0 or u == 0 then
            return
        end
        local limit = limit_of[s]
        -- If far more than enough came in, floating point decides; this keeps the exact path within
        -- its range.
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
        if history[s] ~= '' then
            history[s], top[s] = history_fall(history[s], top[s], used[s], rem[s])
        end
    end

    function bucket_charge(s, amount, at)
        local u = used[s]
        if u == 0 then
            history[s], top[s] = '', at
        elseif top[s] < at then
            history[s], top[s] = history_add(history[s], top[s], u, rem[s]), at
        end
        used[s] = u + amount
    end

    function bucket_refund(s, amount, from)
        if used[s] > 0 then
            history[s], top[s], used[s], rem[s] =
                level_refund(history[s], top[s], used[s], rem[s], limit_of[s].per, amount, from)
        end
    end

    function bucket_refresh(s, last, now)
        if classes[s] ~= 0 then
            held_turn(s, last, now, function(_, deadline, amount)
                bucket_refill(s, deadline - last)
                bucket_charge(s, amount, deadline)
                last = deadline
            end)
        end
        bucket_refill(s, now - last)
    end

    -- Milliseconds until used + held <= room if nobody else comes. What is held turns into a charge
    -- at its deadline and can only be refilled from then on.
    function bucket_wait(s, room, now)
        local limit = limit_of[s]
        local in_use, rest, on_hold, at = used[s], rem[s], held[s], now
        local list = on_hold > 0 and held_between(s, now, now + 2 ^ 40) or NOTHING
        for i = 1, #list + 1 do
            local ms
            if on_hold <= room then
                ms = in_use + on_hold <= room and 0
                    or time_for(in_use + on_hold - room, limit.amount, rest, limit.per)
            end
            if i > #list or ms and at + ms <= list[i][1] then
                return min(at + ms - now, FOREVER)
            end
            -- Until the next deadline it refills as usual; the state is restored afterwards.
            local kept_used, kept_rem, kept_lows, kept_top = used[s], rem[s], history[s], top[s]
            used[s], rem[s], history[s] = in_use, rest, ''
            bucket_refill(s, list[i][1] - at)
            in_use, rest, at = used[s] + list[i][2], rem[s], list[i][1]
            used[s], rem[s], history[s], top[s] = kept_used, kept_rem, kept_lows, kept_top
            on_hold = on_hold - list[i][2]
        end
    end
end
