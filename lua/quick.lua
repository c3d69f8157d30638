-- quick: the batch that a healthy service sees most, decided without making any of the functions that follow, which is most of
-- what a small batch costs: acquires that all fit, over pools of rolling limits and tenants of token buckets, while no slot turns,
-- nothing is held, and no pool is paused, closed or suspect.
--
-- It is the same decision, with the same bytes in the store, and the same tests hold it against the same model. It writes only
-- once all is decided; whatever it meets that is not of this kind makes it return nothing, and the batch is decided from the
-- beginning by what follows. The server does not ask for it again for a while then.
--
-- Limits are arrays as they were packed: 1 unit, 2 algorithm, 3 flags, 4 amount, 5 capacity, 6-8 kept back from a priority, 9 per,
-- 10 slack, 11 sig. Levels are arrays as bucket.lua packs them: 1-5 the head (format, limits, last, keep, expiry), then of each
-- limit sig, extras, used and what its algorithm keeps. Why each step is as it is, is told where the long way does it.

local function quick(input)
    local unpack_bytes, pack_bytes, call = struct.unpack, struct.pack, redis.call
    local floor, ceil, sub, rep = math.floor, math.ceil, string.sub, string.rep
    local ACQUIRE, BUCKET, ROLLING, SPLIT_UNKNOWN, POOL_FLAGS = 1, 0, 1, 8, 7
    local FORMAT, HEAD, TENANT, POOL = 3, '<I1I1I6I4I4', 'I3I1I6I5I6', 'I3I1I6I6I6I6'
    local BOOKS, BOOKS_FIELDS, BOOKS_BYTES = 'I7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7', 19, 301
    local LOW, LOW_BYTES, LOWS = '<I6I7I5', 18, 4
    local SECOND, GRACE = 1024, 60000

    local version, way, n_sets, n_buckets, n_estimates, n_ops, at = unpack_bytes('<I1I1I2I2I2I2', input)
    if version ~= 3 or way ~= 0 and way ~= 3 or n_estimates > 0 then
        return
    end

    -- Sets of limits of one algorithm that count at the start.
    local sets = {}
    for i = 1, n_sets do
        local n, set = nil, {}
        n, at = unpack_bytes('<I1', input, at)
        for j = 1, n do
            local limit = { unpack_bytes('<I1I1I1i8i8i8i8i8I6I4I3', input, at) }
            if limit[2] > ROLLING or limit[3] % 2 == 1 or limit[2] ~= (set[1] or limit)[2] then
                return
            end
            set[j], at = limit, limit[12]
        end
        sets[i] = set
    end

    -- Pools have three keys (levels, slots, what is known), tenants one.
    local set_of, keys, is_pool, known_at, window_of, n_known, key = {}, {}, {}, {}, {}, n_buckets, 1
    for b = 1, n_buckets do
        local which, flags
        which, flags, at = unpack_bytes('<I2I1', input, at)
        local set = sets[which + 1]
        set_of[b], keys[b], is_pool[b] = set, KEYS[key], flags > 0
        if #set == 0 or flags > 0 and flags ~= POOL_FLAGS or set[1][2] ~= (flags > 0 and ROLLING or BUCKET) then
            return
        elseif flags > 0 then
            n_known = n_known + 1
            known_at[b], keys[n_known], window_of[b] = n_known, KEYS[key + 2], unpack_bytes('<I4', input, at + 8)
            at, key = at + 16, key + 3 -- behind the circuit breaker's settings
        else
            key = key + 1
        end
    end

    -- What is stored, as it was.
    local time = call('TIME')
    local clock = time[1] * 1000 + floor(time[2] / 1000)
    local now, raws, levels = clock, call('MGET', unpack(keys)), {}

    local tenant_formats, pool_formats = {}, {} -- by the number of limits
    local function formats_of(n)
        tenant_formats[n] = HEAD .. rep(TENANT, n)
        pool_formats[n] = HEAD .. rep(POOL, n) .. rep('I6', n) .. BOOKS
    end

    local function read(b)
        local raw, set = raws[b], set_of[b]
        local n = #set
        if not tenant_formats[n] then
            formats_of(n)
        end
        if is_pool[b] then
            return raw and #raw >= 16 + 34 * n + BOOKS_BYTES and { unpack_bytes(pool_formats[n], raw) }
        elseif raw then
            return #raw >= 16 + 21 * n and { unpack_bytes(tenant_formats[n], raw) }
        end
        local t = { FORMAT, n, clock, 0, 0 }
        for j = 1, n do
            local place = 5 * j
            t[place + 1], t[place + 2], t[place + 3], t[place + 4], t[place + 5] = set[j][11], 0, 0, 0, 0
        end
        return t
    end

    for b = 1, n_buckets do
        local t = read(b)
        if not t or t[1] ~= FORMAT or t[2] ~= #set_of[b] then
            return
        elseif t[3] > now then
            now = t[3]
        end
        levels[b] = t
    end

    -- As of now. Of a pool: is everything in place?
    local function width_of(limit)
        return ceil(limit[9] / 120)
    end

    local function is_quiet(t, set)
        local place, second = 5, floor(now / SECOND)
        for j = 1, #set do
            local limit = set[j]
            local width = width_of(limit)
            if t[place + 1] ~= limit[11] or t[place + 2] ~= 2 or t[place + 4] ~= floor((now - limit[9] - limit[10]) / width)
                or t[place + 5] ~= floor(now / width) then
                return false
            end
            place = place + 6
        end
        return floor(t[3] / SECOND) == second and t[place + #set + 1] > second
    end

    -- Of a tenant: the refill. Each limit's lows go behind its levels.
    local function refill(t, set, raw)
        local n, ms, place = #set, now - t[3], 5
        local from, lows_at = 17 + 21 * n, 5 + 5 * n
        for j = 1, n do
            local limit, extras, u, list = set[j], t[place + 2], t[place + 3], ''
            if t[place + 1] ~= limit[11] or extras % 4 ~= 0 then
                return false
            end
            if extras > 0 then
                local bytes = extras / 4 * LOW_BYTES
                list, from = sub(raw, from, from + bytes - 1), from + bytes
            end
            if u > 0 and ms > 0 then
                local came = ms * limit[4] + t[place + 4]
                local whole = floor(came / limit[9])
                if came >= 2 ^ 53 then
                    return false -- arith.lua can
                elseif whole >= u then
                    u, t[place + 4], list = 0, 0, ''
                else
                    u, t[place + 4] = u - whole, came - whole * limit[9]
                    for bytes = #list - LOW_BYTES, 0, -LOW_BYTES do
                        local since, low, low_rem = unpack_bytes(LOW, list, bytes + 1)
                        if low < u or low == u and low_rem > t[place + 4] then
                            break
                        end
                        t[place + 5], list = since, sub(list, 1, bytes)
                    end
                end
                t[place + 3] = u
            end
            t[lows_at + j] = list
            place = place + 5
        end
        return true
    end

    -- Of what is known of a pool: only our levels that headers are held against (levels_seen.lua) may be there.
    local seen = {}
    local KNOWN = '<I1I1I6I6I4I6I4I4I4I4I4I4I4I4I1'

    local function read_seen(b, set, raw)
        local t = { unpack_bytes(KNOWN, raw) }
        if t[2] ~= 8 or t[3] > now then
            return false
        end
        for i = 7, 15 do -- reports and failures that the circuit breaker counts, and the reason's length
            if t[i] > 0 then
                return false
            end
        end
        local n, ends, first, from = unpack_bytes('<I1I6I6', raw, t[16])
        if n ~= #set or ends <= now or window_of[b] == 0 then
            return false
        end
        local charged = {}
        for j = 1, n do
            local sig
            sig, charged[j], from = unpack_bytes('<I3I6', raw, from)
            if sig ~= set[j][11] then
                return false
            end
        end
        seen[b] = { head = t, ends = ends, first = first, charged = charged, ticks = sub(raw, from) }
        return true
    end

    for b = 1, n_buckets do
        local t, set = levels[b], set_of[b]
        if not is_pool[b] then
            if not refill(t, set, raws[b]) then
                return
            end
        elseif not is_quiet(t, set) or raws[known_at[b]] and not read_seen(b, set, raws[known_at[b]]) then
            return
        end
    end

    -- The operations, each charged to its buckets when it fits into all of them.
    local function fits(t, set, step, cost, n, priority)
        local place = 8
        for j = 1, #set do
            local limit = set[j]
            local c = cost[limit[1] + 1] * n
            if c > 0 and t[place] + c > limit[5] - limit[6 + priority] then
                return false
            end
            place = place + step
        end
        return true
    end

    local granted = {} -- by pool: what goes into its books

    local function charge_pool(b, t, set, cost, n)
        local place, sum = 5, granted[b]
        for j = 1, #set do
            local c = cost[set[j][1] + 1] * n
            t[place + 3], t[place + 6] = t[place + 3] + c, t[place + 6] + c
            place = place + 6
        end
        if not sum then
            sum = { 0, 0, 0, 0, 0, 0 }
            granted[b] = sum
        end
        for u = 1, 5 do
            local c = cost[u]
            if c > 0 then
                sum[u] = sum[u] + c * n
            end
        end
        sum[6] = sum[6] + n
    end

    local function add_low(list, since, u, r)
        local bytes, low = #list, 0
        if bytes > 0 then
            low = unpack_bytes('<I7', list, bytes - LOW_BYTES + 7)
        end
        if u < low * 2 then
            return list
        end
        list = list .. pack_bytes(LOW, since, u, r)
        if bytes < LOWS * LOW_BYTES then
            return list
        end
        local most, gone, before = -1, 0, unpack_bytes('<I7', list, 7)
        for i = 1, LOWS do
            local next_low = unpack_bytes('<I7', list, i * LOW_BYTES + 7)
            if before / next_low > most then
                most, gone = before / next_low, i
            end
            before = next_low
        end
        return sub(list, 1, gone * LOW_BYTES) .. sub(list, (gone + 1) * LOW_BYTES + 1)
    end

    local function charge_tenant(t, set, cost, n)
        local place, lows_at = 5, 5 + 5 * #set
        for j = 1, #set do
            local c = cost[set[j][1] + 1] * n
            if c > 0 then
                local u, since = t[place + 3], t[place + 5]
                if u == 0 then
                    t[lows_at + j], t[place + 5] = '', now
                elseif since < now then
                    t[lows_at + j], t[place + 5] = add_low(t[lows_at + j], since, u, t[place + 4]), now
                end
                t[place + 3] = u + c
            end
            place = place + 5
        end
    end

    local charged, fields, expiries, wanted = {}, {}, {}, {}
    local answers = { pack_bytes('<I1I6I6', 2, clock, now) }
    local cost, which, ttl, class, width = {}, {}, 0, 0, 1
    for i = 1, n_ops do
        local kind, flags, priority, n, targets, slice, nonce, check, op_ttl, _
        kind, flags, priority, n, _, targets, which[1], which[2], which[3], slice, _, nonce, check, op_ttl, cost[1], cost[2], cost[3],
            cost[4], cost[5], cost[6], at = unpack_bytes('<I1I1I1I1I1I1I2I2I2I2I1c8I6I4I6I6I6I6I6I6', input, at)
        local again, split = flags % 2 == 1, flags >= SPLIT_UNKNOWN and 1 or 0
        if kind ~= ACQUIRE or flags - (again and 1 or 0) - split * SPLIT_UNKNOWN ~= 0 then
            return
        end
        if again then
            local nonces = wanted[slice] or {}
            nonces[#nonces + 1] = nonce
            wanted[slice] = nonces
        end
        if op_ttl ~= ttl then
            ttl, class, width = op_ttl, 0, 1
            while width * 128 <= ttl do
                class, width = class + 1, width * 2
            end
        end
        local deadline = ceil((now + ttl) / width) * width
        local gone = deadline + (ttl > GRACE and ttl or GRACE)
        for k = 1, targets do
            local b = which[k] + 1
            local t, set, pool = levels[b], set_of[b], is_pool[b]
            if not fits(t, set, pool and 6 or 5, cost, n, priority)
                or pool and floor(deadline / SECOND) ~= t[5 + 7 * #set + 1] then
                return
            end
        end
        for k = 1, targets do
            local b = which[k] + 1
            if is_pool[b] then
                charge_pool(b, levels[b], set_of[b], cost, n)
                charged[b] = gone > (charged[b] or 0) and gone or charged[b] -- until when it is kept
            else
                charge_tenant(levels[b], set_of[b], cost, n)
                charged[b] = 0
            end
        end
        local of_slice = fields[slice] or {}
        local last = #of_slice
        of_slice[last + 1] = nonce
        of_slice[last + 2] = cmsgpack.pack(check, n == 1 and 'o' or rep('o', n), deadline, class, split, '',
            deadline - now, cost[1], cost[2], cost[3], cost[4], cost[5], cost[6])
        fields[slice] = of_slice
        if gone > (expiries[slice] or 0) then
            expiries[slice] = gone
        end
        answers[i + 1] = n == 1 and '\1\1\0\0\0\0\0\0\0\0\0\0' or pack_bytes('<I1I1I1I1i8', 1, n, 0, 0, 0)
    end

    -- Those that may have been sent before must not have their records yet, nor come twice in this batch.
    for slice, nonces in pairs(wanted) do
        local of_slice, met = fields[slice], {}
        for i = 1, #of_slice, 2 do
            if met[of_slice[i]] then
                return
            end
            met[of_slice[i]] = true
        end
        local records = call('HMGET', KEYS[key + slice], unpack(nonces))
        for i = 1, #nonces do
            if records[i] then
                return
            end
        end
    end

    -- All are granted: write. A bucket is kept until `kept` and matters `longest` after that (expiry.lua).
    local function write(b, kept, longest, format, n_fields, tail)
        local t = levels[b]
        local needed, expires = kept + longest, t[3] + t[5]
        local stays = expires >= needed and expires - now <= 2 * (needed - now) + 1000
        local after = (stays and expires or needed + floor((needed - now) / 4)) - now
        t[3], t[4], t[5] = now, kept - now, after < 2 ^ 32 and after or 2 ^ 32 - 1
        local packed = pack_bytes(format, unpack(t, 1, n_fields)) .. tail
        if stays then
            call('SET', keys[b], packed, 'KEEPTTL')
        else
            call('SET', keys[b], packed, 'PXAT', string.format('%d', now + after))
        end
    end

    local function write_pool(b, t, set, kept)
        local n, longest = #set, 0
        for j = 1, n do
            local counts = set[j][9] + set[j][10] + width_of(set[j])
            if t[6 * j + 2] > 0 and counts > longest then
                longest = counts
            end
        end
        local books, hot = 5 + 7 * n, 5 + 7 * n + BOOKS_FIELDS
        for u = 1, 6 do
            -- The latest second stands first; then what is outstanding in it, all that was granted, all that is outstanding.
            for place = books + 1 + u, books + 13 + u, 6 do
                t[place] = t[place] + granted[b][u]
            end
        end
        write(b, kept, longest, pool_formats[n], hot, sub(raws[b], t[hot + 1]))
    end

    local function write_tenant(b, t, set, kept)
        local n, longest, tail, place = #set, 0, '', 5
        for j = 1, n do
            local u, list = t[place + 3], t[5 + 5 * n + j]
            local ms = u / set[j][4] * set[j][9]
            longest = ms > longest and ms or longest
            t[place + 2], tail = #list / LOW_BYTES * 4, tail .. list
            place = place + 5
        end
        write(b, kept, ceil(longest) + 1, tenant_formats[n], 5 + 5 * n, tail)
    end

    local function write_seen(b, t, set)
        local one, n, tick = seen[b], #set, floor(now / 500)
        local size, kept, head = 6 + 6 * n, one.ticks, one.head
        local last, limits = #kept - size + 1, ''
        local same = last > 0 and unpack_bytes('<I6', kept, last) == tick
        local entry = pack_bytes('<I6', tick)
        for j = 1, n do
            local level = t[6 * j + 2] - one.charged[j]
            local before = same and unpack_bytes('<i6', kept, last + 6 * j) or level
            entry = entry .. pack_bytes('<i6', before > level and before or level)
            limits = limits .. pack_bytes('<I3I6', set[j][11], one.charged[j])
        end
        kept = same and sub(kept, 1, last - 1) or kept
        if #kept >= 120 * size then
            kept = sub(kept, size + 1)
            local first = unpack_bytes('<I6', kept)
            one.first = first > one.first and first or one.first
        end
        head[6] = floor(now / ceil(window_of[b] / 4))
        call('SET', keys[known_at[b]], pack_bytes(KNOWN, unpack(head, 1, 15)) .. pack_bytes('<I1I6I6', n, one.ends, one.first)
            .. limits .. kept .. entry, 'KEEPTTL')
    end

    for b = 1, n_buckets do
        if charged[b] then
            local t = levels[b]
            if seen[b] then
                write_seen(b, t, set_of[b])
            end
            local kept = t[3] + t[4]
            kept = kept > charged[b] and kept or charged[b]
            kept = kept > now and kept or now
            if is_pool[b] then
                write_pool(b, t, set_of[b], kept)
            else
                write_tenant(b, t, set_of[b], kept)
            end
        end
    end
    for slice, of_slice in pairs(fields) do
        local slice_key, expiry = KEYS[key + slice], expiries[slice]
        call('HSET', slice_key, unpack(of_slice))
        local lives = call('PTTL', slice_key)
        if lives < 0 or lives + clock < expiry then
            call('PEXPIREAT', slice_key, string.format('%d', ceil(expiry / 4096) * 4096))
        end
    end
    return table.concat(answers)
end

local decided = quick(ARGV[1])
if decided then
    return decided
end
