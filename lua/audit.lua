-- audit: reads the ledgers of some pools, and counts the outstanding reservations of some slices one by one.
--
-- KEYS      for each pool its levels and its slots; then slices
-- argument  I2 pools   I6 the number of the second (1024 ms) from which on a deadline counts as outstanding; 0: the
--           store's current one
-- Returns   I6 the second that was used
--           for each pool   6 x 6 i8: granted, reported, expired, cancelled, spent, outstanding, each of requests, tokens,
--                           input_tokens, output_tokens, usd, reservations
--           for each slice  I2 records that have something outstanding, each: I6 check (its upper 20 bits tell the pool),
--                           I6 x 6 outstanding estimates
-- Writes nothing. Cost: one HGETALL a slice (some hundred fields at the most) and one a pool's slots (some thousands).

local audit

do
    local NUMBERS, ACCOUNTS = 6, 6
    local EXPIRED, OUTSTANDING = 3, 6
    local STORED = { 1, 3, 4, 5, 6, 2 } -- where each account of the ledger stands in the store (lua/ledger.lua), in the order of the answer

    -- The levels end with the ledger (lua/bucket.lua). Seconds that have passed since they were written count as expired.
    local function read_ledger(levels, slots, second)
        local ledger = {}
        for book = 1, ACCOUNTS do
            local first = levels and #levels - 7 * NUMBERS * (ACCOUNTS - STORED[book] + 1)
            for i = 1, NUMBERS do
                ledger[(book - 1) * NUMBERS + i] = levels and unpack_bytes('<i7', levels, first + 7 * (i - 1) + 1) or 0
            end
        end
        local function expire(outstanding)
            for i = 1, NUMBERS do
                ledger[(EXPIRED - 1) * NUMBERS + i] = ledger[(EXPIRED - 1) * NUMBERS + i] + outstanding[i]
                ledger[(OUTSTANDING - 1) * NUMBERS + i] = ledger[(OUTSTANDING - 1) * NUMBERS + i] - outstanding[i]
            end
        end
        if levels then
            local latest = { unpack_bytes('<I7i7i7i7i7i7i7', levels, #levels - 7 * (NUMBERS * ACCOUNTS + 7) + 1) }
            if table.remove(latest, 1) < second then
                expire(latest)
            end
        end
        for f = 1, #slots, 2 do
            local n = tonumber(string.match(slots[f], '^o:(%d+)$'))
            if n and n < second then
                expire({ cmsgpack.unpack(slots[f + 1]) })
            end
        end
        for i = 1, NUMBERS * ACCOUNTS do
            ledger[i] = pack_bytes('<i8', ledger[i])
        end
        return concat(ledger)
    end

    local function count_slice(fields, second)
        local records = {}
        for f = 1, #fields, 2 do
            local packed = fields[f] ~= 'n' and { cmsgpack.unpack(fields[f + 1]) } or {}
            local check, states, deadline = packed[1], packed[2], packed[3]
            if deadline and floor(deadline / 1024) >= second then
                local _, out = string.gsub(states, 'o', 'o')
                local sum = { 0, 0, 0, 0, 0 }
                for at = 7, #packed, 7 do
                    for u = 1, 5 do
                        sum[u] = sum[u] + packed[at + u] * out
                    end
                end
                records[#records + 1] = pack_bytes('<I6I6I6I6I6I6I6', check, sum[1], sum[2], sum[3], sum[4], sum[5], out)
            end
        end
        return pack_bytes('<I2', #records) .. concat(records)
    end

    function audit(keys, args)
        local n_pools, second = unpack_bytes('<I2I6', args[1])
        if second == 0 then
            local time = redis_call('TIME')
            second = floor((time[1] * 1000 + floor(time[2] / 1000)) / 1024)
        end
        local answer = { pack_bytes('<I6', second) }
        for i = 1, n_pools do
            local levels, slots = redis_call('GET', keys[2 * i - 1]), keys[2 * i]
            if levels and byte(levels) == 3 then
                slots = keys[2 * i - 1] .. ':s' -- time_slots.lua
            end
            answer[#answer + 1] = read_ledger(levels, redis_call('HGETALL', slots), second)
        end
        for i = 2 * n_pools + 1, #keys do
            answer[#answer + 1] = count_slice(redis_call('HGETALL', keys[i]), second)
        end
        return concat(answer)
    end
end
