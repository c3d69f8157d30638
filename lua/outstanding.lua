-- How many reservations of a tenant are outstanding, so that no tenant fills the store with them.
--
-- They are counted in two generations, with the latest deadline of each. New ones join the younger one. Once the deadline of the
-- older has passed, all of it was settled or has expired: it is dropped, and the younger becomes the older. So nothing is done for
-- a single reservation that expires, which may count for as long again as it lived. What is settled leaves the older one if it can
-- have been in it; so all together are never fewer than there are. Those of two minutes and more have two generations of their
-- own, as they would keep what expires soon for too long.
--
-- In the levels, between the limits and their extras, of the short ones and then of the long ones: I3 I4 the older, I3 I4 the
-- younger: how many, until when (after last). In columns they stand at 2 * b (short) and 2 * b + 1.

do
    local OUTSTANDING = 252 -- in the place of the limit that refuses
    local LONG = 11 -- the class from which on a reservation is a long one
    local older, older_until, younger, younger_until = {}, {}, {}, {}
    local FORMAT, BYTES = '<' .. outstanding.format, outstanding.bytes

    local function open(i, n, n_until, m, m_until, now)
        if n_until <= now then
            n, n_until, m, m_until = m, m_until, 0, 0
            if n_until <= now then
                n, n_until = 0, 0
            end
        end
        older[i], older_until[i], younger[i], younger_until[i] = n, n_until, m, m_until
    end

    -- t has the eight numbers from `at` on.
    function outstanding.open(b, t, at, last, now)
        open(2 * b, t[at], last + t[at + 1], t[at + 2], last + t[at + 3], now)
        open(2 * b + 1, t[at + 4], last + t[at + 5], t[at + 6], last + t[at + 7], now)
    end

    local NONE = { 0, 0, 0, 0, 0, 0, 0, 0 }

    -- Returns what follows in the levels. Those of format 3 had none of this.
    function outstanding.read(b, raw, at, now)
        if not raw or byte(raw) == 3 then
            outstanding.open(b, NONE, 1, 0, now)
            return at
        end
        outstanding.open(b, { unpack_bytes(FORMAT, raw, at) }, 1, last_of[b], now)
        return at + BYTES
    end

    -- Puts the eight numbers into t.
    function outstanding.put(b, t, at, now)
        for i = 2 * b, 2 * b + 1 do
            local n_after, m_after = older_until[i] - now, younger_until[i] - now
            t[at], t[at + 1], t[at + 2], t[at + 3] =
                older[i], n_after > 0 and n_after or 0, younger[i], m_after > 0 and m_after or 0
            at = at + 4
        end
    end

    local row = {} -- reused

    function outstanding.pack(b, now)
        outstanding.put(b, row, 1, now)
        return pack_bytes(FORMAT, unpack(row, 1, 8))
    end

    -- Until when the bucket is to be kept for it.
    function outstanding.until_when(b)
        local latest = 0
        for i = 2 * b, 2 * b + 1 do
            if older[i] > 0 and older_until[i] > latest then
                latest = older_until[i]
            end
            if younger[i] > 0 and younger_until[i] > latest then
                latest = younger_until[i]
            end
        end
        return latest
    end

    function outstanding.room(b)
        local i = 2 * b
        return max(0, outstanding.most - older[i] - younger[i] - older[i + 1] - younger[i + 1])
    end

    function outstanding.add(b, n, deadline, class)
        local i = class >= LONG and 2 * b + 1 or 2 * b
        younger[i] = younger[i] + n
        if deadline > younger_until[i] then
            younger_until[i] = deadline
        end
    end

    -- One is settled. One that has expired leaves with its generation.
    function outstanding.take(b, deadline, class, now)
        local i = class >= LONG and 2 * b + 1 or 2 * b
        if now >= deadline then
            return
        elseif older[i] > 0 and deadline <= older_until[i] then
            older[i] = older[i] - 1
        elseif younger[i] > 0 then
            younger[i] = younger[i] - 1
        end
    end

    -- How many of up to n are granted.
    function outstanding.fit(n)
        for i = 1, o.targets do
            if outstanding.counts[o[i]] then
                n = min(n, outstanding.room(o[i]))
            end
        end
        return n
    end

    -- How many count at a later t if nobody comes in between.
    local function count_at(i, t)
        if older_until[i] > t then
            return older[i] + younger[i]
        end
        return younger_until[i] > t and younger[i] or 0
    end

    -- When there is room for one.
    local function room_at(b)
        local best = false
        for i = 2 * b, 2 * b + 1 do
            for _, t in ipairs({ older_until[i], younger_until[i] }) do
                if (not best or t < best) and count_at(2 * b, t) + count_at(2 * b + 1, t) < outstanding.most then
                    best = t
                end
            end
        end
        return best
    end

    -- The limits' answer, or this, where one more is too many for longer.
    function outstanding.refusal(at_bucket, at_limit, wait, now)
        for i = 1, o.targets do
            local b = o[i]
            if wait >= 0 and outstanding.counts[b] and outstanding.room(b) == 0 then
                local longer = room_at(b) - now
                if longer > wait then
                    at_bucket, at_limit, wait = i - 1, OUTSTANDING, longer
                end
            end
        end
        return at_bucket, at_limit, wait
    end
end
