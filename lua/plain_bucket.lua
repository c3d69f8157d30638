-- Plain buckets: token buckets only, nothing held, and a store that knows them as they are configured. That is what most
-- buckets of a batch are, each a tenant's own, so what one of them costs is what a batch costs: the array that one unpack
-- gave (`plain_of[b]`) is brought up to date, checked, charged and packed in place; for the first operation on a bucket in one
-- pass (plain_take).
--
-- Whatever else is asked of such a bucket (a wait, a look, a renewal) makes it one like all others first: plain_unfold moves
-- it into the columns of states, and the files of the algorithms go on from there. It is then written like all others, too.
--
-- Fields of the array: 1-5 the head (format, limits, last, keep, expiry), then of each limit sig, extras, used, rem, top; then,
-- of a tenant, five fields of what is outstanding (outstanding.lua). All limits' refund histories follow each other in one
-- string, `tail_of[b]`; extras says how many are a limit's: four for each.

local plain_read, plain_take, plain_open, plain_fit, plain_charge, plain_settle, plain_pack, plain_unfold
local bucket_open -- bucket.lua
local raws -- of the batch's buckets: what is stored, as it was read

do
    local HEAD_BYTES, LIMIT_BYTES = 16, 21
    local NO_COST = { 0, 0, 0, 0, 0, 0 }
    local ENTRY = '<I6I7I5'
    local counts, count_open, count_put = outstanding.counts, outstanding.open, outstanding.put
    local opened = {} -- is it up to date?
    local tail_of = {}
    local longest = {} -- how long until the fullest of its limits is empty (ms), where that is known; else nil

    -- Where the histories begin in what is stored.
    local function tail_from(set, counted)
        return HEAD_BYTES + LIMIT_BYTES * #set + (counted and outstanding.bytes or 0) + 1
    end

    -- Makes the array of what is stored. Returns false if that cannot be a plain bucket's.
    function plain_read(b, raw)
        local set = set_of[b]
        opened[b] = false
        if not raw then
            plain_of[b] = { unpack(counts[b] and set.counted_fresh or set.fresh) }
            return true
        end
        local counted = counts[b]
        if byte(raw) == LEVELS_FORMAT and byte(raw, 2) == #set and #raw >= tail_from(set, counted) - 1 then
            plain_of[b] = { unpack_bytes(counted and set.counted or set.format, raw) }
            return true
        end
        return false
    end

    -- The last of n entries whose bytes begin at `first`.
    local function last_entry(raw, first, n)
        return unpack_bytes(ENTRY, raw, first + (n - 1) * ENTRY_BYTES)
    end

    -- Brings the bucket up to `now` and charges it n times the cost, which fits, in one pass. Returns false where the bucket is
    -- not plain, or needs longer numbers; its array is spoilt then.
    local function open_and_charge(b, cost, n, now)
        local t, set, raw, place, slowest = plain_of[b], set_of[b], raws[b], 5, 0
        local counted = counts[b]
        local ms, behind = now - t[3], tail_from(set, counted)
        local tail, from = nil, behind -- what has changed of what follows the levels, and from where it has not
        for j = 1, #set do
            local limit, extras, u, r, top = set[j], t[place + 2], t[place + 3], t[place + 4], t[place + 5]
            local c = cost[limit.unit] * n
            local kept, first, list, since, low, low_rem = extras / 4, behind, nil, 0, 0, 0
            if t[place + 1] ~= limit.sig or extras % 4 ~= 0 then
                return false
            end
            if kept > 0 then
                behind = first + kept * ENTRY_BYTES
                if behind > #raw + 1 then
                    return false -- another limit's levels are longer: the limits have changed
                end
                since, low, low_rem = last_entry(raw, first, kept)
            end
            if u > 0 and ms > 0 then
                local came = ms * limit.amount + r
                local whole = came / limit.per
                whole = whole - whole % 1 -- floor, without calling it
                if came >= EXACT then
                    return false -- exact_math.lua can
                elseif whole >= u then
                    u, r, kept = 0, 0, 0
                else
                    u, r = u - whole, came - whole * limit.per
                    while kept > 0 and (low > u or low == u and low_rem <= r) do
                        top, kept = since, kept - 1
                        if kept > 0 then
                            since, low, low_rem = last_entry(raw, first, kept)
                        end
                    end
                end
            end
            if c > 0 then
                if u == 0 then
                    kept, top = 0, now
                elseif top < now then
                    if kept == 0 or u >= low * 2 then
                        list = history_add(sub(raw or '', first, first + kept * ENTRY_BYTES - 1), top, u, r)
                    end
                    top = now
                end
                u = u + c
            end
            t[place + 3], t[place + 4], t[place + 5] = u, r, top
            if list or kept * 4 ~= extras then
                list = list or sub(raw, first, first + kept * ENTRY_BYTES - 1)
                tail, from, t[place + 2] = (tail or '') .. sub(raw or '', from, first - 1) .. list, behind, #list / ENTRY_BYTES * 4
            end
            local left = u * limit.ms_each
            slowest = left > slowest and left or slowest
            place = place + 5
        end
        tail_of[b] = raw and (tail and tail .. sub(raw, from) or sub(raw, from)) or tail or ''
        opened[b], longest[b] = true, slowest
        if counted then
            count_open(b, t, place + 1, t[3], now)
        end
        return true
    end

    -- Up to `now`. Returns the array, or false if the bucket is not plain; it is then open like all others.
    function plain_open(b, now)
        if not opened[b] and not open_and_charge(b, NO_COST, 0, now) then
            local t = plain_of[b]
            last_of[b], keep_of[b], expires_of[b], plain_of[b] = t[3], t[3] + t[4], t[3] + t[5], false
            bucket_open(b, raws[b], now)
        end
        return plain_of[b]
    end

    -- Charges n times the cost if that fits. Returns false where it does not, or the bucket is not plain; nothing is charged then.
    function plain_take(b, cost, n, most, now)
        local set, t, place = set_of[b], plain_of[b], 8
        local fits, units = not opened[b], set.units
        local counted = counts[b]
        if fits and counted then
            fits = outstanding.stored(t, 5 * #units + 6) + n <= outstanding.most
        end
        for j = 1, fits and #units or 0 do
            if t[place] + cost[units[j]] * n > most[j] then
                fits = false -- unless enough has come in since
                break
            end
            place = place + 5
        end
        if fits then
            if open_and_charge(b, cost, n, now) then
                return true
            end
            plain_read(b, raws[b])
        end
        t = plain_open(b, now)
        if not t or plain_fit(set, t, most, cost, n) < n or counted and outstanding.room(b) < n then
            return false
        end
        plain_charge(b, cost, n, now)
        return true
    end

    -- How many of up to n equal costs fit.
    function plain_fit(set, t, most, cost, n)
        local units, place = set.units, 8
        for j = 1, #units do
            local c = cost[units[j]]
            if c > 0 then
                local room = most[j] - t[place]
                if room < c * n then
                    if room < c then
                        return 0
                    end
                    n = floor(room / c)
                end
            end
            place = place + 5
        end
        return n
    end

    -- The history of the limit at `place`, which are `size` bytes of the tail from `first` on, become `list`. Returns their size.
    local function put_history(b, t, place, first, size, list)
        local tail = tail_of[b]
        tail_of[b] = sub(tail, 1, first - 1) .. list .. sub(tail, first + size)
        t[place + 2] = #list / ENTRY_BYTES * 4
        return #list
    end

    -- Returns the size of the limit's history.
    local function charge_one(b, t, place, first, size, amount, now)
        local u, since_top = t[place + 3], t[place + 5]
        if u == 0 or since_top < now then
            local list = u > 0 and history_add(sub(tail_of[b], first, first + size - 1), since_top, u, t[place + 4]) or ''
            size = put_history(b, t, place, first, size, list)
            t[place + 5] = now
        end
        t[place + 3] = u + amount
        return size
    end

    function plain_charge(b, cost, n, now)
        local t, units, place, first = plain_of[b], set_of[b].units, 5, 1
        for j = 1, #units do
            local c, size = cost[units[j]], t[place + 2] / 4 * ENTRY_BYTES
            if c > 0 then
                size = charge_one(b, t, place, first, size, c * n, now)
            end
            place, first = place + 5, first + size
        end
        longest[b] = nil
    end

    -- Gives back `amount` of what the parts charged, the newest first. Returns the size of the limit's history.
    local function refund(b, t, place, first, size, limit, parts, amount)
        local list, u = sub(tail_of[b], first, first + size - 1), t[place + 3]
        for i = #parts, 1, -1 do
            local share = min(amount, parts[i][limit.unit + 1])
            if share > 0 and u > 0 then
                list, t[place + 5], u, t[place + 4] =
                    level_refund(list, t[place + 5], u, t[place + 4], limit.per, share, parts[i][1])
            end
            amount = amount - share
        end
        t[place + 3] = u
        return put_history(b, t, place, first, size, list)
    end

    -- A report or a cancel: `usage` instead of the estimate that the parts charged. What settle_limit (settle.lua) does.
    function plain_settle(b, parts, usage, estimate, cancelled, now)
        local t, set, place, first = plain_of[b], set_of[b], 5, 1
        for j = 1, #set do
            local limit, size = set[j], t[place + 2] / 4 * ENTRY_BYTES
            local more = usage[limit.unit] - estimate[limit.unit]
            if more > 0 then
                size = charge_one(b, t, place, first, size, more, now)
            elseif more < 0 and t[place + 3] > 0 and (limit.settle or cancelled) then
                size = refund(b, t, place, first, size, limit, parts, -more)
            end
            place, first = place + 5, first + size
        end
        longest[b] = nil
    end

    local function longest_of(set, t)
        local slowest, place = 0, 8
        for j = 1, #set do
            local u = t[place]
            local left = u * set[j].ms_each
            slowest = left > slowest and left or slowest
            if u > MOST then
                t[place] = MOST
            end
            place = place + 5
        end
        return slowest
    end

    -- Returns what is to be stored, the key's expiry, and whether the one that it has can stay.
    function plain_pack(b, now)
        local set, t = set_of[b], plain_of[b]
        local kept, n = t[3] + t[4], 6 + 5 * #set -- kept: by what it was before it was plain
        kept = kept > now and kept or now
        local needed, format = kept + ceil(longest[b] or longest_of(set, t)) + 1, set.with_tail
        if counts[b] then
            needed = max(needed, outstanding.until_when(b))
            count_put(b, t, n, now)
            n, format = n + 5, set.counted_with_tail
        end
        local expiry, stays = expiry_of(now, needed, t[3] + t[5])
        t[3], t[4], t[5], t[n] = now, kept - now, min(expiry - now, LONGEST_AFTER), tail_of[b]
        return pack_bytes(format, unpack(t, 1, n)), expiry, stays
    end

    function plain_unfold(b)
        local set, base, t, place, first = set_of[b], first_of[b], plain_of[b], 5, 1
        last_of[b], keep_of[b], expires_of[b] = t[3], t[3] + t[4], t[3] + t[5]
        for j = 1, #set do
            local s, size = base + j, t[place + 2] / 4 * ENTRY_BYTES
            limit_of[s], bucket_of[s], held[s], classes[s], since[s] = set[j], b, 0, 0, 0
            used[s], rem[s], top[s], history[s] = t[place + 3], t[place + 4], t[place + 5], sub(tail_of[b], first, first + size - 1)
            place, first = place + 5, first + size
        end
        plain_of[b] = false
    end
end
