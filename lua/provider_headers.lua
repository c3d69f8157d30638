-- What the provider's headers say is left, compared with what we think.
--
-- What the provider counts beyond our own figure is somebody else's usage, and is charged to the
-- limit at once. But a header is old by the time its call is reported: it was written when the call
-- was let in or when it ended, and nothing says which. Compared with our present level, it would
-- count what is in flight twice, or what was used and has come back since. So it is compared with
-- the highest level that we had between grant and report: anything beyond that is certainly not
-- ours, and a pool that nobody else uses loses nothing. A header that knows clearly less (by a
-- twentieth) than we had used a moment ago was written at the grant, and is compared with our level
-- of that time, so that what was granted since is accounted for. All this only ever adds charges.
--
-- Our levels of the last minute are kept as the highest of each tick (500 ms), so that calls that
-- overtake each other on their way do not look like somebody else's. A tick's level is kept less
-- what had been charged here until then (`charged`), so that what one header reported does not feed
-- back into the next comparison. Watching begins with the first header and ends ten minutes after
-- the last, at most. The header of a call that was granted before watching began is compared with
-- the highest level since, plus what has come back meanwhile.
--
-- Packed, at the end of a pool's health: I1 limits  I6 watched until  I6 first tick; for each
-- limit: I3 sig  I6 charged; then for each tick in which the pool changed: I6 tick, and for each
-- limit: i6 its highest level - charged

do
    local TICK, TRAVEL = 500, 250
    local TICKS = 120
    local WATCH = 600000
    local MARGIN = 20
    local ROUNDED, ROUNDED_FROM = 1000, 10000

    local function entry_bytes(n)
        return 6 + 6 * n
    end

    local function same_limits(watch, set)
        for j = 1, #set do
            if watch.sigs[j] ~= set[j].sig then
                return false
            end
        end
        return #watch.sigs == #set
    end

    function headers.read(k, raw, at, now)
        local n, watch = nil, { sigs = {}, charged = {} }
        n, watch.until_ms, watch.first, at = unpack_bytes('<I1I6I6', raw, at)
        for j = 1, n do
            watch.sigs[j], watch.charged[j], at = unpack_bytes('<I3I6', raw, at)
        end
        watch.ticks = sub(raw, at)
        if watch.until_ms > now and same_limits(watch, set_of[k.b]) then
            k.headers = watch
        end
    end

    function headers.pack(watch)
        local packed = pack_bytes('<I1I6I6', #watch.sigs, watch.until_ms, watch.first)
        for j = 1, #watch.sigs do
            packed = packed .. pack_bytes('<I3I6', watch.sigs[j], watch.charged[j])
        end
        return packed .. watch.ticks
    end

    -- Our present levels become those of the current tick if they are higher.
    function headers.observe(k, now)
        local watch, base, n = k.headers, first_of[k.b], #k.headers.sigs
        local tick, size = floor(now / TICK), entry_bytes(n)
        local last = #watch.ticks - size + 1
        local same = last > 0 and unpack_bytes('<I6', watch.ticks, last) == tick
        local entry = pack_bytes('<I6', tick)
        for j = 1, n do
            local level = used[base + j] - watch.charged[j]
            if same then
                level = max(level, (unpack_bytes('<i6', watch.ticks, last + 6 * j)))
            end
            entry = entry .. pack_bytes('<i6', level)
        end
        local kept = same and sub(watch.ticks, 1, last - 1) or watch.ticks
        if #kept >= TICKS * size then
            kept = sub(kept, size + 1)
            watch.first = max(watch.first, (unpack_bytes('<I6', kept)))
        end
        watch.ticks, k.dirty = kept .. entry, true
    end

    local function watch(k, now)
        local watch, set = k.headers, set_of[k.b]
        if not watch then
            watch = { sigs = {}, charged = {}, ticks = '', until_ms = 0, first = floor(now / TICK) + 1 }
            for j = 1, #set do
                watch.sigs[j], watch.charged[j] = set[j].sig, 0
            end
            k.headers = watch
        end
        if watch.until_ms < now + WATCH / 2 then
            watch.until_ms = now + WATCH
        end
        headers.observe(k, now)
    end

    -- The limit that the header speaks of: the one of its unit and period; if it names no period,
    -- the only one of its amount; if it names no amount either, the only one of its unit. A header
    -- that may, by its amount, speak of another limit teaches nothing: what is left of a day must
    -- not be compared with a minute.
    local function find_limit(set, what)
        local found, other, n = nil, nil, 0
        for j = 1, #set do
            local limit = set[j]
            if limit.unit == what.unit + 1 and limit.algorithm ~= CONCURRENT then
                local same = what.limit == limit.amount
                if what.per > 0 and what.per == limit.per or what.per == 0 and (same or what.limit == 0) then
                    found, n = same and j or found or j, n + 1
                elseif same then
                    other = j
                end
            end
        end
        if what.per == 0 and n > 1 or found and other and what.limit ~= set[found].amount then
            return nil
        end
        return found
    end

    -- Our own level when the provider looked; the higher of two possible ones.
    local function own_level(k, j, counted, r, usage, now)
        local watch, s, limit = k.headers, first_of[k.b] + j, set_of[k.b][j]
        local granted = r.parts[1][1]
        local from, to = floor(granted / TICK), floor((granted + TRAVEL) / TICK)
        local watched, size = from >= watch.first, entry_bytes(#watch.sigs)
        local highest, at_grant, lately = used[s], r.parts[1][limit.unit + 1], 0
        for at = #watch.ticks - size + 1, 1, -size do
            local tick = unpack_bytes('<I6', watch.ticks, at)
            if watched and tick < from then
                break
            end
            local level = unpack_bytes('<i6', watch.ticks, at + 6 * j) + watch.charged[j]
            highest = max(highest, level)
            if tick <= to then
                at_grant = max(at_grant, level)
            end
            if lately == 0 and tick < floor((now - TRAVEL) / TICK) then
                lately = level
            end
        end
        if limit.at_end then
            -- Nobody knows whether the header already counted this call's answer.
            return highest + usage[limit.unit]
        elseif not watched then
            if now - granted > TICK and limit.algorithm ~= CALENDAR then
                highest = highest + ceil((now - granted) / limit.per * limit.amount)
            end
            return highest
        elseif counted + limit.capacity / MARGIN < min(used[s], lately) then
            return at_grant -- it knows too little to have been written just now
        end
        return highest
    end

    function headers.report(k, what, r, usage, now)
        local set = set_of[k.b]
        local j = find_limit(set, what)
        watch(k, now)
        if not j then
            return
        end
        local limit, s = set[j], first_of[k.b] + j
        if limit.algorithm == CALENDAR and r.parts[1][1] < calendar_start(limit, now) then
            return -- it speaks of yesterday
        end
        local counted = limit.capacity - what.remaining
        local others = counted - own_level(k, j, counted, r, usage, now)
        -- Some providers round what is left to a thousand.
        local rounded = limit.unit >= 2 and limit.unit <= 4 and limit.capacity >= ROUNDED_FROM and what.remaining > 0
            and what.remaining % ROUNDED == 0
        if others > (rounded and ROUNDED or 0) then
            limit_charge(s, others, now)
            k.headers.charged[j] = k.headers.charged[j] + others
            dirty[k.b], k.dirty = true, true
        end
    end
end
