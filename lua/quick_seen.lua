-- quick_seen: our own levels of a pool, which the provider's headers are held against (levels_seen.lua), as quick.lua keeps them;
-- made when some pool of the batch has any. Returns functions by name: `read`, false where anything else is known of the pool,
-- or they are not watched any more; `observe`, which notes the levels of now; `write`; and `of`, by pool: `head` is all up to
-- the ticks (17 until when they are watched, 18 the first tick, then of each limit its sig and what was charged), `last` the
-- latest tick and its levels, `old` those before it, packed.

local function quick_seen(levels, set_of, now)
    local unpack_bytes, pack_bytes, rep, sub, byte = struct.unpack, struct.pack, string.rep, string.sub, string.byte
    local KNOWN, KNOWN_BYTES, LIMIT_FIELDS = '<I1I1I6I6I4I6I4I4I4I4I4I4I4I4I1I1I6I6', 57, 11
    local seen = {}

    local function read(b, raw, window)
        local set = set_of[b]
        local n = set.n
        if byte(raw, 2) ~= 8 or byte(raw, KNOWN_BYTES) ~= 0 or byte(raw, KNOWN_BYTES + 1) ~= n or window == 0 then
            return false
        end
        local head, size = { unpack_bytes(KNOWN .. rep('I3I6', n), raw) }, 6 + 6 * n
        if head[3] > now or head[17] <= now then
            return false
        end
        for i = 7, 14 do -- reports and failures that the circuit breaker counts
            if head[i] > 0 then
                return false
            end
        end
        for j = 1, n do
            if head[17 + 2 * j] ~= set[LIMIT_FIELDS * j] then
                return false
            end
        end
        local from, last = head[19 + 2 * n], #raw - size + 1
        local latest = last >= from and { unpack_bytes('<I6' .. rep('i6', n), raw, last) }
        seen[b] = { head = head, old = sub(raw, from, last - 1), last = latest }
        return true
    end

    local function observe(b)
        local one, t, n, tick = seen[b], levels[b], set_of[b].n, math.floor(now / 500)
        local head, last, size = one.head, one.last, 6 + 6 * n
        if not last or last[1] ~= tick then
            local old = last and one.old .. pack_bytes('<I6' .. rep('i6', n), unpack(last, 1, n + 1)) or one.old
            if #old >= 120 * size then
                old = sub(old, size + 1)
                local first = unpack_bytes('<I6', old)
                head[18] = first > head[18] and first or head[18]
            end
            last = { tick }
            one.old, one.last = old, last
        end
        for j = 1, n do
            local level = t[6 * j + 2] - head[18 + 2 * j]
            local before = last[j + 1] or level
            last[j + 1] = before > level and before or level
        end
    end

    local function write(b, key, window)
        observe(b)
        local one, n = seen[b], set_of[b].n
        local head, at = one.head, 19 + 2 * n
        head[6], head[at] = math.floor(now / math.ceil(window / 4)), one.old
        for j = 1, n + 1 do
            head[at + j] = one.last[j]
        end
        local format = KNOWN .. rep('I3I6', n) .. 'c0I6' .. rep('i6', n)
        redis.call('SET', key, pack_bytes(format, unpack(head, 1, at + n + 1)), 'KEEPTTL')
    end

    return { of = seen, read = read, observe = observe, write = write }
end
