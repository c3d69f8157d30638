-- What may be refunded to a token bucket.
--
-- A refund needs more than the level. A charge of 100 that was refilled long ago cannot be given
-- back: without it the bucket would have stood full and the refill would have been lost. What may
-- be given back is the least that was missing at any moment since the charge. The history keeps
-- those minima, packed: each entry is a time and a low (used, rem), with both times and lows
-- rising. Since a charge made at or after an entry's time (and before the next entry's), the level
-- has never been below that entry's low; since `top` it has never been below its present value. The
-- entries stay packed: a charge looks only at the last one and hardly ever adds one.

local history_fall, history_add, level_refund
local ENTRY_BYTES = 18

do
    local ENTRY, ENTRIES = '<I6I7I5', 4 -- entries kept at most
    local LIST_FORMATS = { ENTRY, '<I6I7I5I6I7I5', '<I6I7I5I6I7I5I6I7I5', '<I6I7I5I6I7I5I6I7I5I6I7I5' }

    local function history_unpack(packed)
        local n = #packed / ENTRY_BYTES
        local list = n > 0 and { unpack_bytes(LIST_FORMATS[n], packed) } or {}
        list[3 * n + 1] = nil -- the position at which unpacking stopped
        return list
    end

    local function history_pack(list)
        return #list > 0 and pack_bytes(LIST_FORMATS[#list / 3], unpack(list)) or ''
    end

    -- Drops the lows above (u, r), what is missing now. Returns the remaining lows and `top`.
    function history_fall(packed, since_top, u, r)
        local n = #packed
        while n > 0 do
            local at, low, low_rem = unpack_bytes(ENTRY, packed, n - ENTRY_BYTES + 1)
            if low < u or low == u and low_rem > r then
                break
            end
            since_top, n = at, n - ENTRY_BYTES
            packed = sub(packed, 1, n)
        end
        return packed, since_top
    end

    -- The list is full: merge the two neighbours closest in ratio and keep the lower. At worst too
    -- little is given back, never too much; as lows stay apart in ratio, hardly ever too little.
    local function history_merge(packed, at, u, r)
        local _, u1, _, _, u2, _, _, u3, _, _, u4 = unpack_bytes(LIST_FORMATS[ENTRIES], packed)
        local most, higher = u1 / u2, 2
        if u2 / u3 > most then
            most, higher = u2 / u3, 3
        end
        if u3 / u4 > most then
            most, higher = u3 / u4, 4
        end
        if u4 / u > most then
            return packed
        end
        return sub(packed, 1, (higher - 1) * ENTRY_BYTES) .. sub(packed, higher * ENTRY_BYTES + 1) .. pack_bytes(ENTRY, at, u, r)
    end

    -- Adds what was missing since `at` as a low, unless it is less than twice the last low, which
    -- then stands for it too.
    function history_add(packed, at, u, r)
        local n = #packed
        if n > 0 then
            local _, low = unpack_bytes(ENTRY, packed, n - ENTRY_BYTES + 1)
            if u < low * 2 then
                return packed
            end
        end
        if n == ENTRIES * ENTRY_BYTES then
            return history_merge(packed, at, u, r)
        end
        return packed .. pack_bytes(ENTRY, at, u, r)
    end

    -- a - b of levels, but not below zero.
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

    -- Refunds up to `amount` of a charge made at `from` while (u, r) is missing. Returns the new
    -- history, `top`, u and r.
    function level_refund(packed, since_top, u, r, per, amount, from)
        local since, list, low, low_rem = from >= since_top, NOTHING, u, r
        if not since then
            low, low_rem = 0, 0
            list = packed ~= '' and history_unpack(packed) or NOTHING
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
        local left, left_rem = less(u, r, back, back_rem, per)
        if left == 0 then
            return '', since_top, 0, 0
        elseif since then
            -- All lows are older than the charge.
            packed, since_top = history_fall(packed, since_top, left, left_rem)
            return packed, since_top, left, left_rem
        elseif list == NOTHING then
            return packed, since_top, left, left_rem
        end
        local rest, rest_rem = less(low, low_rem, back, back_rem, per)
        for i = 1, #list, 3 do
            if (list[i + 3] or since_top) > from then
                list[i + 1], list[i + 2] = less(list[i + 1], list[i + 2], back, back_rem, per)
            elseif list[i + 1] > rest or list[i + 1] == rest and list[i + 2] < rest_rem then
                list[i + 1], list[i + 2] = rest, rest_rem
            end
        end
        while #list > 0 and list[2] == 0 do
            for _ = 1, 3 do
                table.remove(list, 1)
            end
        end
        packed, since_top = history_fall(history_pack(list), since_top, left, left_rem)
        return packed, since_top, left, left_rem
    end
end
