-- Buckets: the state of all limits of one pool, of one tenant, or of one tenant in one pool. One key holds the levels,
-- packed; it is read once and written at most once in a batch. A second key, for those that need it, holds the slots.
--
-- Levels (times in ms; what is signed is not below zero but in the ledger):
--   I1 format (4)  I1 limits  I6 last  I4 keep (after last)  I4 expiry of the key (after last)
--   each limit: I3 sig  I1 extras  I6 used, and of a token bucket I5 rem  I6 top
--                           and of a rolling limit I6 the first slot that counted  I6 I6 the open slot and what is in it
--   of a tenant what is outstanding (outstanding.lua)
--   each limit, as its extras say: 1 I7 held  I2 classes; 2 I6 since; 4 x lows: I6 time  I7 I5 low and its rem
--   and of a pool its ledger
--
-- What is stored is what was used, not what is left: so a changed amount keeps what was used by itself.
--
-- Most buckets are plain ones, and have a shorter way: plain_bucket.lua.

local bucket_last, bucket_check, bucket_write

do
    local HEAD = '<I1I1I6I4I4'
    local HEAD_BYTES, ROLLING_BYTES = 16, 34

    -- What is given back of charges that were made before a limit was there, is not given back to it: `since` tells. A
    -- plain token bucket knows by its refund history.
    local function state_new(s, b, limit, from, now)
        limit_of[s], bucket_of[s] = limit, b
        used[s], held[s], classes[s], since[s], rem[s], top[s], history[s] = 0, 0, 0, now, 0, 0, ''
        if limit.algorithm == ROLLING then
            rolling_new(s, limit, from)
        elseif limit.algorithm == BUCKET and not limit.holds then
            since[s] = 0
        end
    end

    -- Reads one limit's levels into state s. Returns what follows, the sig and the extras.
    local function unpack_limit(raw, at, s)
        local sig, extras
        sig, extras, used[s], at = unpack_bytes('<I3I1I6', raw, at)
        held[s], classes[s], since[s], rem[s], top[s], history[s] = 0, 0, 0, 0, 0, ''
        local algorithm = floor(sig / 2 ^ 19) % 4
        if algorithm == BUCKET then
            rem[s], top[s], at = unpack_bytes('<I5I6', raw, at)
        elseif algorithm == ROLLING then
            top[s], open_slot[s], in_slot[s], at = unpack_bytes('<I6I6I6', raw, at)
        end
        return at, sig, extras
    end

    local function take_history(raw, at, s, n)
        history[s] = sub(raw, at, at + n * ENTRY_BYTES - 1)
        return at + n * ENTRY_BYTES
    end

    local function unpack_extras(raw, at, s, extras)
        if extras % 2 == 1 then
            held[s], classes[s], at = unpack_bytes('<I7I2', raw, at)
        end
        if floor(extras / 2) % 2 == 1 then
            since[s], at = unpack_bytes('<I6', raw, at)
        end
        if extras >= 4 then
            return take_history(raw, at, s, floor(extras / 4))
        end
        return at
    end

    local function extras_of(s)
        return ((held[s] > 0 or classes[s] > 0) and 1 or 0) + (since[s] > 0 and 2 or 0) + #history[s] / ENTRY_BYTES * 4
    end

    local function pack_limit(s)
        local sig, algorithm = limit_of[s].sig, limit_of[s].algorithm
        local u = min(used[s], MOST)
        if algorithm == BUCKET then
            return pack_bytes('<I3I1I6I5I6', sig, extras_of(s), u, rem[s], top[s])
        elseif algorithm == ROLLING then
            return pack_bytes('<I3I1I6I6I6I6', sig, extras_of(s), u, top[s], open_slot[s], min(in_slot[s], MOST))
        end
        return pack_bytes('<I3I1I6', sig, extras_of(s), u)
    end

    local function pack_extras(s)
        local packed = ''
        if held[s] > 0 or classes[s] > 0 then
            packed = pack_bytes('<I7I2', held[s], classes[s])
        end
        if since[s] > 0 then
            packed = packed .. pack_bytes('<I6', since[s])
        end
        return packed .. history[s]
    end

    -- First half of opening, before the time is known: when was it last written? Returns that, if anything is stored.
    function bucket_last(b, raw)
        if set_of[b].plain and not slots_of[b] and plain_read(b, raw) then
            return raw and plain_of[b][3]
        elseif not raw then
            keep_of[b], expires_of[b] = 0, 0
            return nil
        end
        local last, keep, expiry = unpack_bytes('<I6I4I4', raw, 3)
        last_of[b], keep_of[b], expires_of[b] = last, last + keep, last + expiry
        if slots_of[b] and byte(raw) == 3 then
            slots_find_old(b)
        end
        return last
    end

    -- The limits are no longer what they were when the bucket was written: find for each one what continues as it. That
    -- is the same unit, algorithm and period; or else one of the same unit whose own limit is gone hands over what it
    -- used (and held), as if that had been charged when the bucket was last written.
    local function bucket_reopen(b, raw, last, now)
        -- Slots of a limit that was there before and is new again must not count.
        local function drop_slots(b, limit)
            local fields = redis_call('HKEYS', slots_of[b].key)
            for i = 1, #fields do
                if tonumber(string.match(fields[i], '^h?(%d+):')) == limit.sig then
                    slot_set(b, fields[i], 0)
                end
            end
        end

        local set, base, at, before = set_of[b], first_of[b], HEAD_BYTES + 1, {}
        changed[b] = true
        for i = 1, byte(raw, 2) do
            local sig, extras
            at, sig, extras = unpack_limit(raw, at, states + i)
            before[i] = { sig = sig, extras = extras, s = states + i }
        end
        at = outstanding.counts[b] and outstanding.read(b, raw, at, now) or at
        for i = 1, #before do
            at = unpack_extras(raw, at, before[i].s, before[i].extras)
        end
        local function take(j, exact)
            local function fits(i)
                local sig = before[i] and not before[i].taken and before[i].sig
                return sig and (exact and sig == set[j].sig or not exact and floor(sig / 2 ^ 21) == set[j].unit - 1)
            end
            for i = 0, #before do
                local k = i == 0 and j or i -- the same place first
                if fits(k) then
                    before[k].taken = true
                    return before[k].s
                end
            end
        end
        local found = {}
        for j = 1, #set do
            found[j] = take(j, true)
        end
        for j = 1, #set do
            local s, from = base + j, found[j]
            if from then
                limit_of[s], bucket_of[s] = set[j], b
                used[s], held[s], classes[s], since[s], rem[s], top[s], history[s] =
                    used[from], held[from], classes[from], since[from], rem[from], top[from], history[from]
                open_slot[s], in_slot[s] = open_slot[from], in_slot[from]
            else
                state_new(s, b, set[j], last, now)
                if slots_of[b] then
                    drop_slots(b, set[j])
                end
                from = take(j, false)
                if from then
                    limit_charge(s, used[from] + held[from], last)
                end
                since[s] = now > last and now or now + 1
            end
            limit_refresh(s, last, now)
        end
        return at
    end

    -- A pool of rolling limits, as most are: with nothing held, everything but the ledger is read, and written, in one go. Returns
    -- nil if it is not as it is configured now, or has more.
    local function open_rolling(b, raw, now)
        local set, base = set_of[b], first_of[b]
        local n, t, counted = #set, nil, outstanding.counts[b]
        local more = counted and 5 or 0 -- fields between the limits and their extras
        if byte(raw) ~= LEVELS_FORMAT or byte(raw, 2) ~= n
            or #raw < HEAD_BYTES + ROLLING_BYTES * n + (counted and outstanding.bytes or 0) then
            return nil
        end
        t = { unpack_bytes(counted and set.counted_rolling or set.rolling, raw) }
        for j = 1, n do
            if t[6 * j] ~= set[j].sig or t[6 * j + 1] ~= 2 then
                return nil
            end
        end
        for j = 1, n do
            local s, place = base + j, 6 * j
            limit_of[s], bucket_of[s], used[s], top[s], open_slot[s], in_slot[s], since[s] =
                set[j], b, t[place + 2], t[place + 3], t[place + 4], t[place + 5], t[5 + 6 * n + more + j]
            held[s], classes[s], rem[s], history[s] = 0, 0, 0, ''
            rolling_refresh(s, t[3], now)
        end
        if counted then
            outstanding.open(b, t, 6 + 6 * n, t[3], now)
        end
        return t[6 + 7 * n + more]
    end

    local function open_limits(b, raw, now)
        local set, base, at = set_of[b], first_of[b], HEAD_BYTES + 1
        local same, extras = byte(raw, 2) == #set, {}
        for j = 1, #set do
            if not same then
                break
            end
            local s, sig = base + j, nil
            limit_of[s], bucket_of[s] = set[j], b
            at, sig, extras[j] = unpack_limit(raw, at, s)
            same = sig == set[j].sig
        end
        if not same then
            return bucket_reopen(b, raw, last_of[b], now)
        end
        at = outstanding.counts[b] and outstanding.read(b, raw, at, now) or at
        for j = 1, #set do
            if extras[j] > 0 then
                at = unpack_extras(raw, at, base + j, extras[j])
            end
        end
        for j = 1, #set do
            limit_refresh(base + j, last_of[b], now)
        end
        return at
    end

    -- Second half: what is stored becomes the state of the limits of today, as of `now`.
    function bucket_open(b, raw, now)
        local set, base = set_of[b], first_of[b]
        local at = 0
        if not raw then
            if slots_of[b] then
                -- Slots that outlived their levels (the limits had none for a while) must not count.
                slots_of[b].fresh = true
            end
            for j = 1, #set do
                state_new(base + j, b, set[j], now, now)
            end
            if outstanding.counts[b] then
                outstanding.read(b, nil, 0, now)
            end
        else
            at = set.rolling and open_rolling(b, raw, now) or open_limits(b, raw, now)
        end
        if ledger_of[b] then
            if raw and at <= #raw then
                ledger_unpack(b, raw, at)
                ledger_turn(b, last_of[b], now)
            else
                ledger_new(b)
            end
        end
    end

    -- When the bucket no longer matters: when it would be as good as new, and no reservation is out that it knows of.
    local function bucket_expiry(b, now)
        local set, base, kept = set_of[b], first_of[b], max(now, keep_of[b])
        local expiry = outstanding.counts[b] and max(kept, outstanding.until_when(b)) or kept
        for j = 1, #set do
            local s, limit = base + j, set[j]
            local in_use = used[s] + held[s]
            if in_use > 0 then
                local algorithm = limit.algorithm
                if algorithm == BUCKET then
                    expiry = max(expiry, kept + ceil(in_use / limit.amount * limit.per) + 1)
                elseif algorithm == ROLLING then
                    expiry = max(expiry, kept + limit.stay + limit.width)
                elseif algorithm == CALENDAR then
                    local _, reset = calendar_start(limit, now)
                    if held[s] > 0 and kept >= reset then
                        -- It will be charged to the next period, and count until that one ends.
                        reset = reset < limit.bound2 and limit.bound2 or reset + 2 * (limit.bound2 - limit.bound1)
                    end
                    expiry = max(expiry, reset)
                end
            end
        end
        return min(expiry, now + 2 ^ 45)
    end

    -- Slots of limits that are no longer there.
    local function add_foreign_fields(b, gone)
        local current, fields = {}, redis_call('HKEYS', slots_of[b].key)
        for i = 1, #set_of[b] do
            current[set_of[b][i].sig] = true
        end
        for i = 1, #fields do
            local sig = tonumber(string.match(fields[i], '^h?(%d+):'))
            if sig and not current[sig] then
                gone[#gone + 1] = fields[i]
            end
        end
    end

    local function held_any(b)
        for j = 1, #set_of[b] do
            if held[first_of[b] + j] > 0 then
                return true
            end
        end
        return false
    end

    -- Fails where slots that are to be written are not a hash.
    function bucket_check(b)
        local slots = slots_of[b]
        local writes = slots.touched or slots.dead or changed[b] or ledger_of[b] and seconds_of[b]
        if not slots.fresh and (slots.moves_to or writes and not slots.is_hash) then
            redis_call('HGET', slots.moves_to or slots.key, '')
        end
    end

    local function bucket_write_slots(b, expiry)
        local slots = slots_of[b]
        local gone, kept = slots.dead or {}, {}
        slots_move(slots)
        for field in pairs(slots.touched or NOTHING) do
            local value = slots.value[field]
            if value == 0 then
                gone[#gone + 1] = field
            else
                kept[#kept + 1] = field
                kept[#kept + 1] = format('%d', value)
            end
        end
        for n, outstanding in pairs(ledger_of[b] and seconds_of[b] or NOTHING) do
            if outstanding[6] <= 0 then
                gone[#gone + 1] = 'o:' .. n
            else
                kept[#kept + 1] = 'o:' .. n
                kept[#kept + 1] = cmsgpack.pack(unpack(outstanding))
            end
        end
        if slots.fresh then
            redis_call('DEL', slots.key)
            gone = NOTHING
        elseif changed[b] then
            add_foreign_fields(b, gone)
        end
        for first = 1, #gone, 1000 do
            redis_call('HDEL', slots.key, unpack(gone, first, min(first + 999, #gone)))
        end
        for first = 1, #kept, 1000 do
            redis_call('HSET', slots.key, unpack(kept, first, min(first + 999, #kept)))
        end
        -- What stands in the slots may be forgotten when nothing counts any more, the open slot included: `used` is the sum of
        -- all. What is held may not before it was charged, and how long that takes is known to the levels only.
        if #kept > 0 or slots.opened or held_any(b) then
            redis_call('PEXPIREAT', slots.key, format('%d', expiry))
        end
    end

    local row = {} -- reused

    local function pack_rolling(b, now, expiry)
        local set, base = set_of[b], first_of[b]
        local n, format, more = #set, set.rolling, 0
        if outstanding.counts[b] then
            outstanding.put(b, row, 6 + 6 * n, now)
            format, more = set.counted_rolling, 5
        end
        row[1], row[2], row[3], row[4], row[5] =
            LEVELS_FORMAT, n, now, max(0, keep_of[b] - now), min(expiry - now, LONGEST_AFTER)
        for j = 1, n do
            local s, place = base + j, 6 * j
            if held[s] > 0 or classes[s] > 0 or since[s] == 0 then
                return nil
            end
            row[place], row[place + 1], row[place + 2], row[place + 3], row[place + 4], row[place + 5] =
                set[j].sig, 2, min(used[s], MOST), top[s], open_slot[s], min(in_slot[s], MOST)
            row[5 + 6 * n + more + j] = since[s]
        end
        local packed = pack_bytes(format, unpack(row, 1, 5 + 7 * n + more))
        return ledger_of[b] and packed .. ledger_pack(b) or packed
    end

    local function pack_levels(b, now, expiry)
        local n, base = #set_of[b], first_of[b]
        local packed = { pack_bytes(HEAD, LEVELS_FORMAT, n, now, max(0, keep_of[b] - now), min(expiry - now, LONGEST_AFTER)) }
        packed[n + 2] = outstanding.counts[b] and outstanding.pack(b, now) or ''
        for j = 1, n do
            packed[j + 1], packed[n + j + 2] = pack_limit(base + j), pack_extras(base + j)
        end
        if ledger_of[b] then
            packed[2 * n + 3] = ledger_pack(b)
        end
        return concat(packed)
    end

    function bucket_write(b, now)
        local t, packed, expiry, stays = plain_of[b], nil, nil, nil
        if t then
            packed, expiry, stays = plain_pack(b, now)
        else
            expiry, stays = expiry_of(now, bucket_expiry(b, now), expires_of[b])
            packed = set_of[b].rolling and pack_rolling(b, now, expiry) or pack_levels(b, now, expiry)
        end
        if stays then
            redis_call('SET', key_of[b], packed, 'KEEPTTL')
        else
            redis_call('SET', key_of[b], packed, 'PXAT', format('%d', expiry))
        end
        if slots_of[b] then
            bucket_write_slots(b, expiry)
        end
    end
end
