-- Plain buckets: token buckets only, nothing held, and a store that knows them as they are configured. That is what most
-- buckets of a batch are, each a tenant's own, so what one of them costs is what a batch costs: the array that one unpack
-- gave (`plain_of[b]`) is opened, charged and packed in place.
--
-- Whatever else is asked of such a bucket (a wait, a look, a renewal) makes it one like all others first: plain_unfold moves
-- it into the columns of states, and the files of the algorithms go on from there. It is then written like all others, too.
--
-- Fields of the array: 1-5 the head (format, limits, last, keep, expiry), then of each limit sig, extras, used, rem, top, and
-- behind all of them each limit's lows (lows.lua).

local plain_read, plain_open, plain_new, plain_fit, plain_charge, plain_settle, plain_pack, plain_unfold

do
    local HEAD_BYTES, LIMIT_BYTES = 16, 21

    -- What is stored, if it may be a plain bucket's.
    function plain_read(b, raw)
        local set = set_of[b]
        if #raw >= HEAD_BYTES + #set * LIMIT_BYTES then
            local t = { unpack_bytes(set.format, raw) }
            plain_of[b] = t
            return t[3], t[4], t[5]
        end
        return unpack_bytes('<I6I4I4', raw, 3)
    end

    -- Up to `now`. Returns false if it is not plain, or needs longer numbers; then nothing was done.
    function plain_open(b, raw, now)
        local set, t = set_of[b], plain_of[b]
        local n, ms = #set, now - t[3]
        local at, place, lows_at = HEAD_BYTES + n * LIMIT_BYTES + 1, 5, 5 + 5 * n
        if t[2] ~= n then
            return false
        end
        for j = 1, n do
            local limit, extras, u, list = set[j], t[place + 2], t[place + 3], ''
            if t[place + 1] ~= limit.sig or extras % 4 ~= 0 then
                return false
            end
            if extras > 0 then
                local bytes = extras / 4 * LOW_BYTES
                list, at = sub(raw, at, at + bytes - 1), at + bytes
            end
            if u > 0 and ms > 0 then
                local per = limit.per
                local came = ms * limit.amount + t[place + 4]
                if came >= EXACT then
                    return false
                end
                local whole = floor(came / per)
                if whole >= u then
                    t[place + 3], t[place + 4], list = 0, 0, ''
                else
                    u = u - whole
                    t[place + 3], t[place + 4] = u, came - whole * per
                    if list ~= '' then
                        list, t[place + 5] = lows_fall(list, t[place + 5], u, t[place + 4])
                    end
                end
            end
            t[lows_at + j] = list
            place = place + 5
        end
        return true
    end

    function plain_new(b)
        local set = set_of[b]
        local n, t = #set, { unpack(set.fresh) }
        for j = 5 + 5 * n + 1, 5 + 6 * n do
            t[j] = ''
        end
        plain_of[b] = t
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

    local function charge_one(t, place, lows_place, amount, now)
        local u, since_top = t[place + 3], t[place + 5]
        if u == 0 then
            t[lows_place], t[place + 5] = '', now
        elseif since_top < now then
            t[lows_place], t[place + 5] = lows_add(t[lows_place], since_top, u, t[place + 4]), now
        end
        t[place + 3] = u + amount
    end

    function plain_charge(set, t, cost, n, now)
        local units, place = set.units, 5
        local lows_at = 5 + 5 * #units
        for j = 1, #units do
            local c = cost[units[j]]
            if c > 0 then
                charge_one(t, place, lows_at + j, c * n, now)
            end
            place = place + 5
        end
    end

    -- A report or a cancel: `use` instead of the estimate that the parts charged. What settle_limit (settle.lua) does.
    function plain_settle(set, t, parts, use, estimate, cancelled, now)
        local units, place = set.units, 5
        local lows_at = 5 + 5 * #units
        for j = 1, #units do
            local unit, limit = units[j], set[j]
            local more = use[unit] - estimate[unit]
            if more > 0 then
                charge_one(t, place, lows_at + j, more, now)
            elseif more < 0 and (limit.settle or cancelled) then
                local back = -more
                for i = #parts, 1, -1 do
                    local share = min(back, parts[i][unit + 1])
                    if share > 0 and t[place + 3] > 0 then
                        t[lows_at + j], t[place + 5], t[place + 3], t[place + 4] = level_refund(t[lows_at + j], t[place + 5],
                            t[place + 3], t[place + 4], limit.per, share, parts[i][1])
                    end
                    back = back - share
                end
            end
            place = place + 5
        end
    end

    -- Returns what is to be stored and when it no longer matters; `expires` is the key's expiry of today.
    function plain_pack(set, t, now, keep, expires)
        local n = #set
        local place, lows_at, longest, tail = 5, 5 + 5 * n, 0, ''
        for j = 1, n do
            local u, list = t[place + 3], t[lows_at + j]
            if u > 0 then
                local ms = u * set[j].ms_each
                if ms > longest then
                    longest = ms
                end
                if u > MOST then
                    t[place + 3] = MOST
                end
            end
            t[place + 2] = #list / LOW_BYTES * 4
            if list ~= '' then
                tail = tail .. list
            end
            place = place + 5
        end
        local kept = keep > now and keep or now -- by what it was before it was plain
        local expiry, stays = expiry_of(now, kept + ceil(longest) + 1, expires)
        t[3], t[4], t[5] = now, kept - now, min(expiry - now, LONGEST_AFTER)
        return pack_bytes(set.format, unpack(t, 1, lows_at)) .. tail, expiry, stays
    end

    function plain_unfold(b)
        local set, base, t, place = set_of[b], first_of[b], plain_of[b], 5
        for j = 1, #set do
            local s = base + j
            limit_of[s], bucket_of[s], held[s], classes[s], since[s] = set[j], b, 0, 0, 0
            used[s], rem[s], top[s], lows[s] = t[place + 3], t[place + 4], t[place + 5], t[5 + 5 * #set + j]
            place = place + 5
        end
        plain_of[b] = false
    end
end
