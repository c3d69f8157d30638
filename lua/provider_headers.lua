-- What the provider's headers say is left, against what we think.
--
-- What the provider counts beyond what we think is somebody else's use, and it is charged to the limit, now. But a header is
-- old when its call is reported: it was written when the call was let in, or when it ended, nobody says which. Held against our
-- level of now it would count what is in flight twice, or what was used and has come back since. So it is held against the highest
-- level that we had between grant and report: what is beyond that is certainly not ours, and a pool that nobody else uses loses
-- nothing. A header that knows clearly less (by a twentieth) than we had used a moment ago was written at the grant, and is
-- held against our level of that time: so what was granted since is accounted for. A level only ever comes down by this.
--
-- Our levels of the last minute are kept as the highest of each tick (500 ms), so that calls which overtake each other on
-- their way do not look like somebody else's. A tick's level is kept less what had been charged here until then (`charged`):
-- what one header has told is no news in the next. Watching begins with the first header and ends ten minutes after the last
-- one. A call that was granted before it began is held against the highest level since, and what has come back meanwhile.
--
-- Packed, at the end of a pool's knowledge: I1 limits  I6 watched until  I6 first tick  of each limit: I3 sig  I6 charged,
-- then for each tick in which the pool changed: I6 tick, of each limit: i6 its highest level - charged

do
    local TICK, TRAVEL = 500, 250
    local TICKS = 120
    local WATCH = 600000
    local MARGIN = 20
    local ROUNDED, ROUNDED_FROM = 1000, 10000

    local function entry_bytes(n)
        return 6 + 6 * n
    end

    local function same_limits(seen, set)
        for j = 1, #set do
            if seen.sigs[j] ~= set[j].sig then
                return false
            end
        end
        return #seen.sigs == #set
    end

    function know.seen_read(k, raw, at, now)
        local n, seen = nil, { sigs = {}, charged = {} }
        n, seen.until_ms, seen.first, at = unpack_bytes('<I1I6I6', raw, at)
        for j = 1, n do
            seen.sigs[j], seen.charged[j], at = unpack_bytes('<I3I6', raw, at)
        end
        seen.ticks = sub(raw, at)
        if seen.until_ms > now and same_limits(seen, set_of[k.b]) then
            k.seen = seen
        end
    end

    function know.seen_pack(seen)
        local packed = pack_bytes('<I1I6I6', #seen.sigs, seen.until_ms, seen.first)
        for j = 1, #seen.sigs do
            packed = packed .. pack_bytes('<I3I6', seen.sigs[j], seen.charged[j])
        end
        return packed .. seen.ticks
    end

    -- Our levels as of now become those of the current tick, where they are higher.
    function know.seen_observe(k, now)
        local seen, base, n = k.seen, first_of[k.b], #k.seen.sigs
        local tick, size = floor(now / TICK), entry_bytes(n)
        local last = #seen.ticks - size + 1
        local same = last > 0 and unpack_bytes('<I6', seen.ticks, last) == tick
        local entry = pack_bytes('<I6', tick)
        for j = 1, n do
            local level = used[base + j] - seen.charged[j]
            if same then
                level = max(level, (unpack_bytes('<i6', seen.ticks, last + 6 * j)))
            end
            entry = entry .. pack_bytes('<i6', level)
        end
        local kept = same and sub(seen.ticks, 1, last - 1) or seen.ticks
        if #kept >= TICKS * size then
            kept = sub(kept, size + 1)
            seen.first = max(seen.first, (unpack_bytes('<I6', kept)))
        end
        seen.ticks, k.dirty = kept .. entry, true
    end

    local function watch(k, now)
        local seen, set = k.seen, set_of[k.b]
        if not seen then
            seen = { sigs = {}, charged = {}, ticks = '', until_ms = 0, first = floor(now / TICK) + 1 }
            for j = 1, #set do
                seen.sigs[j], seen.charged[j] = set[j].sig, 0
            end
            k.seen = seen
        end
        if seen.until_ms < now + WATCH / 2 then
            seen.until_ms = now + WATCH
        end
        know.seen_observe(k, now)
    end

    -- The limit that the header speaks of: of its unit and period; where no period is said, the only one of its amount; where
    -- that is not said either, the only one of its unit. A header that may speak of another limit, as its amount says, teaches
    -- nothing: what is left of a day must not be held against a minute.
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

    -- Our own level when the provider looked; of two that are possible the higher.
    local function own_level(k, j, counted, r, use, now)
        local seen, s, limit = k.seen, first_of[k.b] + j, set_of[k.b][j]
        local granted = r.parts[1][1]
        local from, to = floor(granted / TICK), floor((granted + TRAVEL) / TICK)
        local watched, size = from >= seen.first, entry_bytes(#seen.sigs)
        local highest, at_grant, lately = used[s], r.parts[1][limit.unit + 1], 0
        for at = #seen.ticks - size + 1, 1, -size do
            local tick = unpack_bytes('<I6', seen.ticks, at)
            if watched and tick < from then
                break
            end
            local level = unpack_bytes('<i6', seen.ticks, at + 6 * j) + seen.charged[j]
            highest = max(highest, level)
            if tick <= to then
                at_grant = max(at_grant, level)
            end
            if lately == 0 and tick < floor((now - TRAVEL) / TICK) then
                lately = level
            end
        end
        if limit.at_end then
            return highest + use[limit.unit] -- whether the header knew this call's answer is not known
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

    function know.seen_report(k, what, r, use, now)
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
        local others = counted - own_level(k, j, counted, r, use, now)
        -- Some round what is left to a thousand.
        local rounded = limit.unit >= 2 and limit.unit <= 4 and limit.capacity >= ROUNDED_FROM and what.remaining > 0
            and what.remaining % ROUNDED == 0
        if others > (rounded and ROUNDED or 0) then
            limit_charge(s, others, now)
            k.seen.charged[j] = k.seen.charged[j] + others
            dirty[k.b], k.dirty = true, true
        end
    end
end
