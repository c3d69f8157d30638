-- quick_report: the reports of a batch that quick.lua decides; made when the first one comes. What it settles is the report
-- that a healthy service sees most: in time, for the first time, of a whole call that did not fail, with an estimate that was
-- not learned and not added to, and with no news but what headers say is left. Of anything else `settle` returns nothing, and
-- quick.lua gives up the batch.
--
-- `q` is what quick.lua has: now, lows.lua's functions, the function that opens a tenant; by bucket levels, set_of, is_pool,
-- slots_key, charged, tails and longest; and what quick_seen.lua has made, or nil.
-- Returns functions: settle; books_tail, which gives the cold half of a pool's books; write_slots, for a pool whose levels were
-- written, with their key's expiry; and write_records.

local function quick_reports(q)
    local levels, set_of, is_pool, seen, now, call = q.levels, q.set_of, q.is_pool, q.seen, q.now, redis.call
    local unpack_bytes, floor, ceil, min, max, sub = struct.unpack, math.floor, math.ceil, math.min, math.max, string.sub
    local ESTIMATES, SETTLES, LIMIT_FIELDS, LOW_BYTES, SECOND = 64, 2, 11, 18, 1024
    local TICK, TRAVEL, WATCH, ROUNDED = 500, 250, 600000, 1000

    -- Records as cmsgpack gives them: 1 check, 2 states, 3 deadline, 4 class, 5 split unknown (+ 2 * most), 6 token, then of the
    -- part that was granted: 7 how long before the deadline, 8-13 the estimates. One that is longer was added to, or its input
    -- was learned.
    local records = {} -- by slice and nonce

    local function record_of(slice_key, nonce)
        local of_slice = records[slice_key] or {}
        local r = of_slice[nonce]
        if not r then
            local raw = call('HGET', slice_key, nonce)
            if not raw then
                return nil
            end
            r = { cmsgpack.unpack(raw) }
            of_slice[nonce], records[slice_key] = r, of_slice
        end
        return r
    end

    -- Slots of pools, as slots.lua has them: rolling limits' charges, and the books' seconds (arrays).
    local slots = {} -- by pool and field

    local function slot_of(b, field)
        local of_pool = slots[b] or {}
        local value = of_pool[field]
        if value == nil then
            slots[b] = of_pool
            local raw = call('HGET', q.slots_key[b], field)
            if sub(field, 1, 2) == 'o:' then
                value = raw and { cmsgpack.unpack(raw) } or { 0, 0, 0, 0, 0, 0 }
                of_pool[field] = value
            else
                value = tonumber(raw or 0)
            end
        end
        return value
    end

    -- rolling.lua: back into the slot of the charge, if it still counts.
    local function refund_rolling(b, t, place, limit_sig, width, back, from)
        local slot = floor(from / width)
        if slot < t[place + 4] then
            return
        elseif slot == t[place + 5] then
            back = min(back, t[place + 6])
            t[place + 6] = t[place + 6] - back
        else
            local field = limit_sig .. ':' .. slot
            local value = slot_of(b, field)
            back = min(back, value)
            slots[b][field] = value - back
        end
        t[place + 3] = t[place + 3] - back
    end

    local function settle_pool(b, r, use, granted_at)
        local t, set, place = levels[b], set_of[b], 5
        local since_at = 6 + 6 * set.n
        for of = 0, LIMIT_FIELDS * (set.n - 1), LIMIT_FIELDS do
            local unit = set[of + 1] + 1
            local more = use[unit] - r[7 + unit]
            if more > 0 then
                t[place + 3], t[place + 6] = t[place + 3] + more, t[place + 6] + more
            elseif more < 0 and set[of + 3] >= SETTLES and granted_at >= t[since_at] then
                refund_rolling(b, t, place, set[of + 11], ceil(set[of + 9] / 120), -more, granted_at)
            end
            place, since_at = place + 6, since_at + 1
        end
    end

    local function settle_tenant(b, r, use, granted_at)
        local t, set, lows, place, first = levels[b], set_of[b], q.lows, 5, 1
        if not q.charged[b] and not q.open(b, 0, 0) then
            return false
        end
        for of = 0, LIMIT_FIELDS * (set.n - 1), LIMIT_FIELDS do
            local unit, u, size = set[of + 1] + 1, t[place + 3], t[place + 2] / 4 * LOW_BYTES
            local more = use[unit] - r[7 + unit]
            if more > 0 and t[place + 5] == now and u > 0 then
                t[place + 3] = u + more
            elseif more > 0 or more < 0 and u > 0 and set[of + 3] >= SETTLES then
                local tail = q.tails[b]
                local list = sub(tail, first, first + size - 1)
                if more < 0 then
                    list, t[place + 5], t[place + 3], t[place + 4] =
                        lows.refund(list, t[place + 5], u, t[place + 4], set[of + 9], -more, granted_at)
                else
                    list = u > 0 and lows.add(list, t[place + 5], u, t[place + 4]) or ''
                    t[place + 3], t[place + 5] = u + more, now
                end
                q.tails[b] = sub(tail, 1, first - 1) .. list .. sub(tail, first + size)
                t[place + 2], size = #list / LOW_BYTES * 4, #list
            end
            place, first = place + 5, first + size
        end
        q.longest[b] = nil
        return true
    end

    -- books.lua: from outstanding to reported. What was reported and spent is summed up, as it stands in the cold half.
    local reported, spent = {}, {} -- by pool

    local function settle_books(b, r, use)
        local t, books = levels[b], 6 + 7 * set_of[b].n
        local second = floor(r[3] / SECOND)
        local owed, at = t, books
        if second > t[books] then
            return false
        elseif second < t[books] then
            owed, at = slot_of(b, 'o:' .. second), 0
        end
        local sum, used = reported[b], spent[b]
        if not sum then
            sum, used = { 0, 0, 0, 0, 0, 0 }, { 0, 0, 0, 0, 0, 0 }
            reported[b], spent[b] = sum, used
        end
        for u = 1, 6 do
            local estimate = u < 6 and r[7 + u] or 1
            if estimate > 0 then
                owed[at + u], sum[u] = owed[at + u] - estimate, sum[u] + estimate
                t[books + 12 + u] = t[books + 12 + u] - estimate
            end
            used[u] = used[u] + use[u]
        end
        return true
    end

    -- levels_seen.lua: what the provider's headers say is left.
    local function find_limit(set, unit, per, amount)
        local found, other, n = nil, nil, 0
        for of = 0, LIMIT_FIELDS * (set.n - 1), LIMIT_FIELDS do
            if set[of + 1] == unit then
                local same = amount == set[of + 4]
                if per > 0 and per == set[of + 9] or per == 0 and (same or amount == 0) then
                    found, n = same and of or found or of, n + 1
                elseif same then
                    other = of
                end
            end
        end
        if per == 0 and n > 1 or found and other and amount ~= set[found + 4] then
            return nil
        end
        return found
    end

    local function own_level(b, of, counted, r, granted_at)
        local one, set, j = seen.of[b], set_of[b], of / LIMIT_FIELDS
        local level_now, size = levels[b][8 + 6 * j], 6 + 6 * set.n
        local from, to = floor(granted_at / TICK), floor((granted_at + TRAVEL) / TICK)
        local watched, highest, at_grant, lately = from >= one.head[18], level_now, r[8 + set[of + 1]], 0
        for at = #one.old + 1, 1, -size do
            local is_last = at > #one.old
            local tick = is_last and one.last[1] or unpack_bytes('<I6', one.old, at)
            if watched and tick < from then
                break
            end
            local level = (is_last and one.last[2 + j] or unpack_bytes('<i6', one.old, at + 6 + 6 * j)) + one.head[20 + 2 * j]
            highest = max(highest, level)
            if tick <= to then
                at_grant = max(at_grant, level)
            end
            if lately == 0 and tick < floor((now - TRAVEL) / TICK) then
                lately = level
            end
        end
        if not watched then
            return now - granted_at > TICK and highest + ceil((now - granted_at) / set[of + 9] * set[of + 4]) or highest
        elseif counted + set[of + 5] / 20 < min(level_now, lately) then
            return at_grant
        end
        return highest
    end

    local function see(b, unit, per, amount, remaining, r, granted_at)
        local one, set, t = seen and seen.of[b], set_of[b], levels[b]
        if not one or one.head[17] < now + WATCH / 2 then
            return false -- watching begins, or goes on for longer
        end
        seen.observe(b)
        local of = find_limit(set, unit, per, amount)
        local counted = of and set[of + 5] - remaining
        local others = of and counted - own_level(b, of, counted, r, granted_at) or 0
        local rounded = unit >= 1 and unit <= 3 and of and set[of + 5] >= 10000 and remaining > 0 and remaining % ROUNDED == 0
        if others > (rounded and ROUNDED or 0) then
            local j = of / LIMIT_FIELDS
            t[8 + 6 * j], t[11 + 6 * j] = t[8 + 6 * j] + others, t[11 + 6 * j] + others
            one.head[20 + 2 * j] = one.head[20 + 2 * j] + others
        end
        return true
    end

    -- Returns where the next operation begins; nothing: the batch is not for us.
    local function settle(input, at, flags, stated, targets, which, slice_key, member, nonce, check, cost)
        local r = record_of(slice_key, nonce)
        if not r or flags % 64 ~= 0 or r[1] ~= check or sub(r[2], member + 1, member + 1) ~= 'o' or #r ~= 13 or now >= r[3]
            or r[5] > 1 then
            return nil
        end
        local granted_at, pool = r[3] - r[7], which[1] + 1
        local use = actual_use(stated, cost, { r[8], r[9], r[10], r[11], r[12] }, r[5] == 1, false)
        if flags % 128 == ESTIMATES then
            at = at + 2 -- an estimate that was not learned teaches nothing
        end
        if flags >= 128 then
            local failed, pause, reason, n
            failed, pause, reason, n, at = unpack_bytes('<I1I4I1c0I1', input, at)
            if failed > 0 or pause > 0 or reason ~= '' or n > 0 and not is_pool[pool] then
                return nil
            end
            for _ = 1, n do
                local unit, per, amount, remaining
                unit, per, amount, remaining, at = unpack_bytes('<I1I6I6I6', input, at)
                if not see(pool, unit, per, amount, remaining, r, granted_at) then
                    return nil
                end
            end
        end
        for k = 1, targets do
            local b = which[k] + 1
            if not is_pool[b] then
                if not settle_tenant(b, r, use, granted_at) then
                    return nil
                end
            elseif not settle_books(b, r, use) then
                return nil
            else
                settle_pool(b, r, use, granted_at)
            end
        end
        r[2] = r[2] == 'o' and 's' or sub(r[2], 1, member) .. 's' .. sub(r[2], member + 2)
        return at
    end

    -- What the cold half of a pool's books becomes: reported, expired, cancelled, spent, six numbers each.
    local COLD = '<i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7'

    local function books_tail(b, raw)
        local cold = reported[b] and { unpack_bytes(COLD, raw) }
        if not cold then
            return raw
        end
        for u = 1, 6 do
            cold[u], cold[18 + u] = cold[u] + reported[b][u], cold[18 + u] + spent[b][u]
        end
        return struct.pack(COLD, unpack(cold, 1, 24))
    end

    local function write_slots(b, expiry)
        local gone, kept = {}, {}
        for field, value in pairs(slots[b] or {}) do
            local owed = type(value) == 'table'
            if owed and value[6] <= 0 or value == 0 then
                gone[#gone + 1] = field
            else
                kept[#kept + 1] = field
                kept[#kept + 1] = owed and cmsgpack.pack(unpack(value)) or string.format('%d', value)
            end
        end
        if #gone > 0 then
            call('HDEL', q.slots_key[b], unpack(gone))
        end
        if #kept > 0 then
            call('HSET', q.slots_key[b], unpack(kept))
            call('PEXPIREAT', q.slots_key[b], string.format('%d', expiry))
        end
    end

    local function write_records()
        for slice_key, of_slice in pairs(records) do
            local fields = {}
            for nonce, r in pairs(of_slice) do
                fields[#fields + 1] = nonce
                fields[#fields + 1] = r[2] ~= 's' and string.find(r[2], '[om]') and cmsgpack.pack(unpack(r)) or cmsgpack.pack(r[1], r[2])
            end
            call('HSET', slice_key, unpack(fields))
        end
    end

    return { settle = settle, books_tail = books_tail, write_slots = write_slots, write_records = write_records }
end
