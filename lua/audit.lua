-- Audit: reads the ledgers of some pools, and counts the outstanding reservations of some slices
-- one by one.
--
-- KEYS      for each pool its levels and its slots; then slices
-- argument  I2 pools
--           I6 the number of the second (1024 ms) from which on a deadline counts as outstanding;
--           0: the store's current one
-- Returns   I6 the second that was used
--           I2 pools read, each: 6 x 6 i8: granted, reported, expired, cancelled, spent,
--           outstanding; each for requests, tokens, input_tokens, output_tokens, usd, reservations
--           I2 slices counted, I4 pools with something outstanding in them, each: I4 the upper 20
--           bits of its records' check, 6 x i8 outstanding, as above
--
-- Writes nothing. Redis does nothing else meanwhile, so a call stops after MOST_FIELDS fields of
-- hashes, but not before it has done one key: the caller asks again for the pools and slices that
-- were not reached. Slices wait until all pools have been read.

local audit

do
    local NUMBERS, ACCOUNTS = 6, 6
    local EXPIRED, OUTSTANDING = 3, 6
    -- Where each account of the ledger is in the store (ledger.lua), in the order of the answer.
    local STORED = { 1, 3, 4, 5, 6, 2 }
    local MOST_FIELDS = 500
    local SECOND = 1024

    -- Calls expire(outstanding) for each second in the slots that has passed. Those that had passed
    -- when the levels were last written were moved then, so there are few, unless the pool has been
    -- idle. Returns how many fields it read.
    local function each_passed(slots_key, last, second, expire)
        local first = floor(last / SECOND)
        if second - first > MOST_FIELDS / 2 then
            local slots = redis_call('HGETALL', slots_key)
            for f = 1, #slots, 2 do
                local n = tonumber(string.match(slots[f], '^o:(%d+)$'))
                if n and n < second then
                    expire({ cmsgpack.unpack(slots[f + 1]) })
                end
            end
            return #slots / 2
        end
        local fields = {}
        for n = first, second - 1 do
            fields[#fields + 1] = 'o:' .. n
        end
        local values = #fields > 0 and redis_call('HMGET', slots_key, unpack(fields)) or NOTHING
        for i = 1, #values do
            if values[i] then
                expire({ cmsgpack.unpack(values[i]) })
            end
        end
        return #fields
    end

    -- The levels end with the ledger (bucket.lua). Seconds that have passed since they were written
    -- count as expired. Returns the ledger as it is answered, and how many fields were read.
    local function read_ledger(levels, slots_key, second)
        local ledger, read = {}, 1
        for account = 1, ACCOUNTS do
            local first = levels and #levels - 7 * NUMBERS * (ACCOUNTS - STORED[account] + 1)
            for i = 1, NUMBERS do
                ledger[(account - 1) * NUMBERS + i] = levels and unpack_bytes('<i7', levels, first + 7 * (i - 1) + 1) or 0
            end
        end
        local function expire(outstanding)
            for i = 1, NUMBERS do
                ledger[(EXPIRED - 1) * NUMBERS + i] = ledger[(EXPIRED - 1) * NUMBERS + i] + outstanding[i]
                ledger[(OUTSTANDING - 1) * NUMBERS + i] = ledger[(OUTSTANDING - 1) * NUMBERS + i] - outstanding[i]
            end
        end
        local any = false
        for i = (OUTSTANDING - 1) * NUMBERS + 1, OUTSTANDING * NUMBERS do
            any = any or ledger[i] ~= 0
        end
        if levels and any then
            local latest = { unpack_bytes('<I7i7i7i7i7i7i7', levels, #levels - 7 * (NUMBERS * ACCOUNTS + 7) + 1) }
            if table.remove(latest, 1) < second then
                expire(latest)
            end
            read = read + each_passed(slots_key, unpack_bytes('<I6', levels, 3), second, expire)
        end
        for i = 1, NUMBERS * ACCOUNTS do
            ledger[i] = pack_bytes('<i8', ledger[i])
        end
        return concat(ledger), read
    end

    local function sum_of(sums, check)
        local pool = floor(check / 2 ^ 28)
        local sum = sums[pool]
        if not sum then
            sum = { 0, 0, 0, 0, 0, 0 }
            sums[pool] = sum
        end
        return sum
    end

    -- Adds one record's outstanding amounts to its pool's sum.
    local function count_record(raw, second, sums)
        local check, states, deadline, _, _, _, _, c1, c2, c3, c4, c5, _, more = cmsgpack.unpack(raw)
        if not deadline or floor(deadline / SECOND) < second then
            return
        end
        local _, out = string.gsub(states, 'o', 'o')
        if out == 0 then
            return
        end
        local sum = sum_of(sums, check)
        sum[1], sum[2], sum[3], sum[4], sum[5], sum[6] = sum[1] + c1 * out, sum[2] + c2 * out, sum[3] + c3 * out,
            sum[4] + c4 * out, sum[5] + c5 * out, sum[6] + out
        local packed = more and { cmsgpack.unpack(raw) } or NOTHING
        for at = 14, #packed, 7 do
            for u = 1, 5 do
                sum[u] = sum[u] + packed[at + u] * out
            end
        end
    end

    -- Counts as many slices from keys[first] on as one call may.
    local function count_slices(keys, first, second)
        local sums, records, slices = {}, 0, 0
        for i = first, #keys do
            if slices > 0 and records + redis_call('HLEN', keys[i]) > MOST_FIELDS then
                break
            end
            local fields = redis_call('HGETALL', keys[i])
            for f = 1, #fields, 2 do
                if fields[f] ~= 'n' then
                    count_record(fields[f + 1], second, sums)
                end
            end
            slices, records = slices + 1, records + #fields / 2
        end
        local answer = {}
        for pool, sum in pairs(sums) do
            answer[#answer + 1] = pack_bytes('<I4i8i8i8i8i8i8', pool, unpack(sum))
        end
        return pack_bytes('<I2I4', slices, #answer) .. concat(answer)
    end

    function audit(keys, args)
        local n_pools, second = unpack_bytes('<I2I6', args[1])
        if second == 0 then
            local time = redis_call('TIME')
            second = floor((time[1] * 1000 + floor(time[2] / 1000)) / SECOND)
        end
        local ledgers, read, fields = {}, 0, nil
        local n = 0
        while n < n_pools and read < MOST_FIELDS do
            n = n + 1
            local levels, slots = redis_call('GET', keys[2 * n - 1]), keys[2 * n]
            if levels and byte(levels) == 3 then
                slots = keys[2 * n - 1] .. ':s' -- time_slots.lua
            end
            ledgers[n], fields = read_ledger(levels, slots, second)
            read = read + fields
        end
        local first = n == n_pools and 2 * n_pools + 1 or #keys + 1
        return pack_bytes('<I6I2', second, n) .. concat(ledgers) .. count_slices(keys, first, second)
    end
end
