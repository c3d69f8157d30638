-- The ledger of a pool: how much of each unit was granted, reported, expired and cancelled (all as
-- estimated), how much the reports said was really used, and how much is outstanding. `ration
-- audit` checks that it balances: granted = reported + outstanding + expired + cancelled.
--
-- Outstanding estimates are kept by the second (1024 ms) of their deadline. A second that has
-- passed moves to expired as a whole, so no work is ever done for a single reservation. The latest
-- second is kept with the levels and moves into the time slots when a later one is opened. Each
-- entry has six numbers: the units other than `concurrent`, and reservations.
--
-- In memory and packed, `ledger` is one array: [1] the latest second, [2-7] what is outstanding in
-- it, then six numbers each for granted, outstanding (in all), reported, expired, cancelled, spent.
-- A grant touches only the first half; the other stays packed (`cold_of`) until a report or a
-- second that has passed needs it. `seconds_of` has the other seconds that a batch touches.

local ledger_new, ledger_unpack, ledger_pack, ledger_outstanding, ledger_turn, ledger_grant, ledger_settle
local seconds_of = {}

do
    local SECOND = 1024
    local LATEST = 1 -- an entry's numbers are at its offset + 1 to + 6
    local GRANTED_AT, OUTSTANDING_AT, REPORTED_AT, EXPIRED_AT, CANCELLED_AT, SPENT_AT = 7, 13, 19, 25, 31, 37
    local LONGEST_SECONDS = 3700 -- a reservation lives an hour at most
    local HOT, HOT_FIELDS, HOT_BYTES = '<I7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7', 19, 133
    local COLD, COLD_FIELDS = '<i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7', 24
    local cold_of = {}

    function ledger_new(b)
        cold_of[b], seconds_of[b] = nil, nil
        local ledger = {}
        for i = 1, HOT_FIELDS + COLD_FIELDS do
            ledger[i] = 0
        end
        ledger_of[b] = ledger
    end

    function ledger_unpack(b, raw, at)
        seconds_of[b] = nil
        ledger_of[b] = { unpack_bytes(HOT, raw, at) }
        cold_of[b] = sub(raw, at + HOT_BYTES)
    end

    local function warm(b)
        local ledger, raw = ledger_of[b], cold_of[b]
        if raw then
            local cold = { unpack_bytes(COLD, raw) }
            for i = 1, COLD_FIELDS do
                ledger[HOT_FIELDS + i] = cold[i]
            end
            cold_of[b] = nil
        end
        return ledger
    end

    function ledger_pack(b)
        local ledger, cold = ledger_of[b], cold_of[b]
        return pack_bytes(HOT, unpack(ledger, 1, HOT_FIELDS))
            .. (cold or pack_bytes(COLD, unpack(ledger, HOT_FIELDS + 1, HOT_FIELDS + COLD_FIELDS)))
    end

    local function add(sum, offset, amounts, sign)
        for i = 1, 6 do
            local amount = amounts[i]
            if amount ~= 0 then
                sum[offset + i] = sum[offset + i] + sign * amount
            end
        end
    end

    -- Where the outstanding estimates of second n are: an array and an offset into it.
    local function second_of(b, n)
        local ledger = ledger_of[b]
        if n == ledger[LATEST] then
            return ledger, LATEST
        end
        if n > ledger[LATEST] then
            if ledger[LATEST + 6] > 0 then
                seconds_of[b] = seconds_of[b] or {}
                seconds_of[b][ledger[LATEST]] = { ledger[2], ledger[3], ledger[4], ledger[5], ledger[6], ledger[7] }
            end
            ledger[1], ledger[2], ledger[3], ledger[4], ledger[5], ledger[6], ledger[7] = n, 0, 0, 0, 0, 0, 0
            return ledger, LATEST
        end
        local seconds = seconds_of[b] or {}
        local outstanding = seconds[n]
        if not outstanding then
            local raw = not slots_of[b].fresh and redis_call('HGET', slots_of[b].key, 'o:' .. n)
            outstanding = raw and { cmsgpack.unpack(raw) } or { 0, 0, 0, 0, 0, 0 }
            seconds[n], seconds_of[b] = outstanding, seconds
        end
        return outstanding, 0
    end

    function ledger_outstanding(b, deadline, amounts, sign)
        local outstanding, offset = second_of(b, floor(deadline / SECOND))
        add(outstanding, offset, amounts, sign)
        add(ledger_of[b], OUTSTANDING_AT, amounts, sign)
    end

    local function turn_slots(b, first, gone)
        local slots, ledger = slots_of[b], ledger_of[b]
        for from = first, gone, 500 do
            local fields = {}
            for n = from, min(from + 499, gone) do
                fields[#fields + 1] = 'o:' .. n
            end
            local values = redis_call('HMGET', slots.key, unpack(fields))
            for i = 1, #fields do
                if values[i] then
                    warm(b)
                    local outstanding = { cmsgpack.unpack(values[i]) }
                    add(ledger, OUTSTANDING_AT, outstanding, -1)
                    add(ledger, EXPIRED_AT, outstanding, 1)
                    slots.dead = slots.dead or {}
                    slots.dead[#slots.dead + 1] = fields[i]
                end
            end
        end
    end

    -- All six, because reservations that outlived the ledger (the store's clock was days ahead for a
    -- moment) are subtracted from it when they are settled: their number may be zero by chance.
    local function nothing_outstanding(ledger, at)
        return ledger[at + 6] == 0 and ledger[at + 1] == 0 and ledger[at + 2] == 0 and ledger[at + 3] == 0
            and ledger[at + 4] == 0 and ledger[at + 5] == 0
    end

    function ledger_turn(b, last, now)
        local ledger = ledger_of[b]
        if nothing_outstanding(ledger, OUTSTANDING_AT) then
            return
        end
        local first, current = floor(last / SECOND), floor(now / SECOND)
        local gone = min(current, ledger[LATEST]) - 1
        turn_slots(b, max(first, gone - LONGEST_SECONDS), gone)
        if ledger[LATEST] <= current then
            -- Whatever the slots held has passed, even if their key has expired meanwhile.
            local latest_passed = ledger[LATEST] < current
            warm(b)
            for i = 1, 6 do
                local left = latest_passed and 0 or ledger[LATEST + i]
                ledger[EXPIRED_AT + i] = ledger[EXPIRED_AT + i] + ledger[OUTSTANDING_AT + i] - left
                ledger[OUTSTANDING_AT + i], ledger[LATEST + i] = left, left
            end
        end
    end

    -- n equal costs were granted; `reservations` of them are new.
    function ledger_grant(b, deadline, cost, n, reservations)
        local ledger = ledger_of[b]
        local outstanding, offset = second_of(b, floor(deadline / SECOND))
        for i = 1, 6 do
            local amount = i <= LEDGER_UNITS and cost[i] * n or reservations
            if amount > 0 then
                outstanding[offset + i] = outstanding[offset + i] + amount
                ledger[GRANTED_AT + i] = ledger[GRANTED_AT + i] + amount
                ledger[OUTSTANDING_AT + i] = ledger[OUTSTANDING_AT + i] + amount
            end
        end
    end

    -- Reports or cancels one reservation. If the deadline's second has passed, its estimate already
    -- counts as expired.
    function ledger_settle(b, deadline, estimate, spent, cancelled, now)
        local ledger, second = warm(b), floor(deadline / SECOND)
        local from, from_at, outstanding = ledger, EXPIRED_AT, 0
        if second >= floor(now / SECOND) then
            from, from_at = second_of(b, second)
            outstanding = 1
        end
        local to_at = cancelled and CANCELLED_AT or REPORTED_AT
        for i = 1, 6 do
            local amount = i <= LEDGER_UNITS and estimate[i] or 1
            if amount > 0 then
                from[from_at + i] = from[from_at + i] - amount
                ledger[to_at + i] = ledger[to_at + i] + amount
                ledger[OUTSTANDING_AT + i] = ledger[OUTSTANDING_AT + i] - outstanding * amount
            end
            local used_up = spent[i]
            if used_up > 0 then
                ledger[SPENT_AT + i] = ledger[SPENT_AT + i] + used_up
            end
        end
    end
end
