-- How many reservations of a tenant are outstanding, so that no tenant fills the store with them.
--
-- They are counted in two generations, with the latest deadline of each. New ones join the younger one. Once the deadline of the
-- older has passed, all of it was settled or has expired: it is dropped, and the younger becomes the older. So nothing is done for
-- a single reservation that expires, which may count for as long again as it lived. What is settled leaves the older one if it can
-- have been in it; so all together are never fewer than there are. Those of two minutes and more have two generations of their
-- own, as they would keep what expires soon for too long.
--
-- In the levels, between the limits and their extras, of the short ones and then of the long ones: I3 I4 the older, I3 I4 the
-- younger: how many, until when (after last). The short ones' numbers stay in the array that one unpack gave, which is the whole
-- bucket's if it is plain (plain_bucket.lua). The long ones, which few tenants have, stay packed unless there are some.

do
    local OUTSTANDING = 252 -- in the place of the limit that refuses
    local LONG = 11 -- the class from which on a reservation is a long one
    local FORMAT, BYTES = '<' .. outstanding.format, outstanding.bytes
    local PAIR, NO_LONG = '<I3I4I3I4', outstanding.no_long
    local row_of, place_of = {}, {} -- of a bucket: the array with the short ones, and where in it: four numbers
    local long_of = {} -- of a bucket: the long ones, four numbers; false: there are none

    -- Drops what has expired. The times become absolute.
    local function open(t, at, last, now)
        local n_until, m_until = last + t[at + 1], last + t[at + 3]
        if n_until <= now then
            t[at], n_until, t[at + 2], m_until = t[at + 2], m_until, 0, 0
            if n_until <= now then
                t[at], n_until = 0, 0
            end
        end
        t[at + 1], t[at + 3] = n_until, m_until
    end

    local function open_long(packed, last, now)
        local t = { unpack_bytes(PAIR, packed) }
        open(t, 1, last, now)
        return t
    end

    -- t has the short ones' numbers from `at` on, and behind them the long ones', packed.
    function outstanding.open(b, t, at, last, now)
        open(t, at, last, now)
        row_of[b], place_of[b] = t, at
        long_of[b] = t[at + 4] ~= NO_LONG and open_long(t[at + 4], last, now)
    end

    -- Returns what follows in the levels. Those of format 3 had none of this.
    function outstanding.read(b, raw, at, now)
        if not raw or byte(raw) == 3 then
            outstanding.open(b, { 0, 0, 0, 0, NO_LONG }, 1, 0, now)
            return at
        end
        outstanding.open(b, { unpack_bytes(FORMAT, raw, at) }, 1, last_of[b], now)
        return at + BYTES
    end

    local function pack_long(t, now)
        return pack_bytes(PAIR, t[1], max(0, t[2] - now), t[3], max(0, t[4] - now))
    end

    -- Until when something counts, or `latest` if that is later.
    local function later_of(t, at, latest)
        if t[at] > 0 and t[at + 1] > latest then
            latest = t[at + 1]
        end
        return t[at + 2] > 0 and t[at + 3] > latest and t[at + 3] or latest
    end

    -- Until when the bucket is to be kept for it.
    function outstanding.until_when(b)
        local latest = later_of(row_of[b], place_of[b], 0)
        return long_of[b] and later_of(long_of[b], 1, latest) or latest
    end

    -- Puts what is to be stored into t, which may be the array that was opened; it is of no use then.
    function outstanding.put(b, t, at, now)
        local from, i, long = row_of[b], place_of[b], long_of[b]
        local n_after, m_after = from[i + 1] - now, from[i + 3] - now
        t[at], t[at + 1], t[at + 2], t[at + 3] = from[i], n_after > 0 and n_after or 0, from[i + 2], m_after > 0 and m_after or 0
        t[at + 4] = long and pack_long(long, now) or NO_LONG
    end

    local row = {} -- reused

    function outstanding.pack(b, now)
        outstanding.put(b, row, 1, now)
        return pack_bytes(FORMAT, unpack(row, 1, 5))
    end

    -- How many there are of what is stored, from t[at] on.
    function outstanding.stored(t, at)
        if t[at + 4] == NO_LONG then
            return t[at] + t[at + 2]
        end
        local n, _, m = unpack_bytes(PAIR, t[at + 4])
        return t[at] + t[at + 2] + n + m
    end

    function outstanding.room(b)
        local t, at, long = row_of[b], place_of[b], long_of[b]
        return max(0, outstanding.most - t[at] - t[at + 2] - (long and long[1] + long[3] or 0))
    end

    function outstanding.add(b, n, deadline, class)
        local t, at = row_of[b], place_of[b]
        if class >= LONG then
            t, at = long_of[b] or { 0, 0, 0, 0 }, 1
            long_of[b] = t
        end
        t[at + 2] = t[at + 2] + n
        if deadline > t[at + 3] then
            t[at + 3] = deadline
        end
    end

    -- One is settled. One that has expired leaves with its generation.
    function outstanding.take(b, deadline, class, now)
        local t, at = row_of[b], place_of[b]
        if class >= LONG then
            t, at = long_of[b], 1
        end
        if not t or now >= deadline then
            return
        elseif t[at] > 0 and deadline <= t[at + 1] then
            t[at] = t[at] - 1
        elseif t[at + 2] > 0 then
            t[at + 2] = t[at + 2] - 1
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

    -- How many count at a later time if nobody comes in between.
    local function count_at(t, at, time)
        if t[at + 1] > time then
            return t[at] + t[at + 2]
        end
        return t[at + 3] > time and t[at + 2] or 0
    end

    -- When there is room for one.
    local function room_at(b)
        local t, at, long = row_of[b], place_of[b], long_of[b] or { 0, 0, 0, 0 }
        local best = false
        for _, time in ipairs({ t[at + 1], t[at + 3], long[2], long[4] }) do
            if (not best or time < best) and count_at(t, at, time) + count_at(long, 1, time) < outstanding.most then
                best = time
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
