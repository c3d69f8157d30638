-- The books of a pool: how much of each unit was granted, reported, expired and cancelled (all as estimated), how much
-- the reports said was really used, and how much is outstanding. `ration audit` shows that they balance:
-- granted = reported + outstanding + expired + cancelled.
--
-- Outstanding estimates are kept by the second (1024 ms) of their deadline; a second that has passed is moved to expired as a
-- whole, so that nothing is ever done for a single reservation. The latest second is kept with the levels and moves into the
-- slots when a later one is opened. Each entry has six numbers: the units but `concurrent`, and reservations.
--
-- In memory and packed, `books` is one array: [1] the latest second, [2-7] what is outstanding in it, then granted, outstanding
-- (in all), reported, expired, cancelled, spent. A grant touches the first half only; the other stays packed (`cold_of`) until a
-- report or a second that has passed wants it. `owed_of` has the other seconds that a batch touches.

local books_new, books_unpack, books_pack, books_owe, books_turn, books_grant, books_settle
local owed_of = {}

do
    local SECOND = 1024
    local LATEST = 1 -- an entry's numbers stand at its offset + 1 to + 6
    local GRANTED_AT, OUTSTANDING_AT, REPORTED_AT, EXPIRED_AT, CANCELLED_AT, SPENT_AT = 7, 13, 19, 25, 31, 37
    local LONGEST_SECONDS = 3700 -- a reservation lives an hour at the most
    local HOT, HOT_FIELDS, HOT_BYTES = '<I7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7', 19, 133
    local COLD, COLD_FIELDS = '<i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7', 24
    local cold_of = {}

    function books_new(b)
        cold_of[b], owed_of[b] = nil, nil
        local books = {}
        for i = 1, HOT_FIELDS + COLD_FIELDS do
            books[i] = 0
        end
        books_of[b] = books
    end

    function books_unpack(b, raw, at)
        owed_of[b] = nil
        books_of[b] = { unpack_bytes(HOT, raw, at) }
        cold_of[b] = sub(raw, at + HOT_BYTES)
    end

    local function warm(b)
        local books, raw = books_of[b], cold_of[b]
        if raw then
            local cold = { unpack_bytes(COLD, raw) }
            for i = 1, COLD_FIELDS do
                books[HOT_FIELDS + i] = cold[i]
            end
            cold_of[b] = nil
        end
        return books
    end

    function books_pack(b)
        local books, cold = books_of[b], cold_of[b]
        return pack_bytes(HOT, unpack(books, 1, HOT_FIELDS))
            .. (cold or pack_bytes(COLD, unpack(books, HOT_FIELDS + 1, HOT_FIELDS + COLD_FIELDS)))
    end

    local function add(sum, offset, amounts, sign)
        for i = 1, 6 do
            local amount = amounts[i]
            if amount ~= 0 then
                sum[offset + i] = sum[offset + i] + sign * amount
            end
        end
    end

    -- Where the outstanding estimates of second n stand: an array and an offset into it.
    local function second_of(b, n)
        local books = books_of[b]
        if n == books[LATEST] then
            return books, LATEST
        end
        if n > books[LATEST] then
            if books[LATEST + 6] > 0 then
                owed_of[b] = owed_of[b] or {}
                owed_of[b][books[LATEST]] = { books[2], books[3], books[4], books[5], books[6], books[7] }
            end
            books[1], books[2], books[3], books[4], books[5], books[6], books[7] = n, 0, 0, 0, 0, 0, 0
            return books, LATEST
        end
        local seconds = owed_of[b] or {}
        local owed = seconds[n]
        if not owed then
            local raw = not slots_of[b].fresh and redis_call('HGET', slots_of[b].key, 'o:' .. n)
            owed = raw and { cmsgpack.unpack(raw) } or { 0, 0, 0, 0, 0, 0 }
            seconds[n], owed_of[b] = owed, seconds
        end
        return owed, 0
    end

    function books_owe(b, deadline, amounts, sign)
        local owed, offset = second_of(b, floor(deadline / SECOND))
        add(owed, offset, amounts, sign)
        add(books_of[b], OUTSTANDING_AT, amounts, sign)
    end

    local function turn_slots(b, first, gone)
        local slots, books = slots_of[b], books_of[b]
        for from = first, gone, 500 do
            local fields = {}
            for n = from, min(from + 499, gone) do
                fields[#fields + 1] = 'o:' .. n
            end
            local values = redis_call('HMGET', slots.key, unpack(fields))
            for i = 1, #fields do
                if values[i] then
                    warm(b)
                    local owed = { cmsgpack.unpack(values[i]) }
                    add(books, OUTSTANDING_AT, owed, -1)
                    add(books, EXPIRED_AT, owed, 1)
                    slots.dead = slots.dead or {}
                    slots.dead[#slots.dead + 1] = fields[i]
                end
            end
        end
    end

    function books_turn(b, last, now)
        local books = books_of[b]
        if books[OUTSTANDING_AT + 6] == 0 then
            return
        end
        local first, current = floor(last / SECOND), floor(now / SECOND)
        local gone = min(current, books[LATEST]) - 1
        turn_slots(b, max(first, gone - LONGEST_SECONDS), gone)
        if books[LATEST] <= current then
            -- Whatever was in the slots has passed, even where they were forgotten meanwhile.
            local latest_passed = books[LATEST] < current
            warm(b)
            for i = 1, 6 do
                local left = latest_passed and 0 or books[LATEST + i]
                books[EXPIRED_AT + i] = books[EXPIRED_AT + i] + books[OUTSTANDING_AT + i] - left
                books[OUTSTANDING_AT + i], books[LATEST + i] = left, left
            end
        end
    end

    -- n equal costs were granted; `reservations` of them are new.
    function books_grant(b, deadline, cost, n, reservations)
        local books = books_of[b]
        local owed, offset = second_of(b, floor(deadline / SECOND))
        for i = 1, 6 do
            local amount = i <= BOOKED and cost[i] * n or reservations
            if amount > 0 then
                owed[offset + i] = owed[offset + i] + amount
                books[GRANTED_AT + i] = books[GRANTED_AT + i] + amount
                books[OUTSTANDING_AT + i] = books[OUTSTANDING_AT + i] + amount
            end
        end
    end

    -- A report or a cancel of one reservation. When the deadline's second has passed, the estimate stands under expired already.
    function books_settle(b, deadline, estimate, spent, cancelled, now)
        local books, second = warm(b), floor(deadline / SECOND)
        local from, from_at, outstanding = books, EXPIRED_AT, 0
        if second >= floor(now / SECOND) then
            from, from_at = second_of(b, second)
            outstanding = 1
        end
        local to_at = cancelled and CANCELLED_AT or REPORTED_AT
        for i = 1, 6 do
            local amount = i <= BOOKED and estimate[i] or 1
            if amount > 0 then
                from[from_at + i] = from[from_at + i] - amount
                books[to_at + i] = books[to_at + i] + amount
                books[OUTSTANDING_AT + i] = books[OUTSTANDING_AT + i] - outstanding * amount
            end
            local used_up = spent[i]
            if used_up > 0 then
                books[SPENT_AT + i] = books[SPENT_AT + i] + used_up
            end
        end
    end
end
