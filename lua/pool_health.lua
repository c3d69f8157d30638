-- What is known about a pool: what one host learned about the provider, and all hosts go by. It is
-- kept in a key of the pool's own, which exists only while there is something to know; nothing
-- below is created before that.
--
--   paused     the provider said when to come back
--   closed     waiting will not help (the account is out of money), or an operator closed it; until
--              an operator opens it, or until the date that the provider named: then it is also
--              paused until that date, and the closing ends with the pause
--   circuit    too many of the latest calls failed. It stays open for a cool-down; then one acquire
--              is granted, the probe, and its report decides: a success closes the circuit, a
--              failure (or no report before the probe expires) opens it again for twice as long, up
--              to eight times the configured cool-down
--
-- Counting begins with a failure, so that reports write nothing while all is well; successes before
-- the first failure of a window are not there to outweigh it. The window is kept in quarters: the
-- counts cover the last three to four.
--
-- Packed: I1 format (1)
--         I1 flags (1 closed, 2 circuit open, 4 a probe is out, 8 levels are watched, 16 the
--         closing ends with the pause)  I6 paused until
--         I6 circuit open until  I4 its cool-down (ms)  I6 the quarter
--         4 x (I4 reports  I4 failures), the latest first
--         I1 length and the reason;  for a probe: I6 its deadline  I1 length and its name;
--         then provider_headers.lua

local CLOSED = 253 -- in place of the limit that refuses, like PAUSED and CIRCUIT below

do
    local SHOWN = 10
    local PAUSED, CIRCUIT = 255, 254
    local QUARTERS, SLOWEST = 4, 8
    local LONGEST_PAUSE, LONGEST_CLOSING = 86400000, 32 * 86400000
    local CLOSED_FOR = 2 ^ 38 -- every key has an expiry: nearly nine years

    local function health_of(b)
        local k = health.of[b]
        if not k then
            k = {
                b = b, paused = 0, circuit = false, next = 0, cool = 0, quarter = 0, reason = false, ends = false,
                probe = false, probe_until = 0, all = { 0, 0, 0, 0 }, failed = { 0, 0, 0, 0 }, dirty = false,
            }
            health.of[b] = k
        end
        return k
    end

    local function quarter_width(b)
        return ceil(health.breaker[b].window / QUARTERS)
    end

    -- Forgets the quarters that have passed, or all of them if the window has been reconfigured.
    local function turn_quarters(k, now)
        local quarter = floor(now / quarter_width(k.b))
        local passed = quarter - k.quarter
        if passed ~= 0 then
            for i = QUARTERS, 1, -1 do
                local from = passed > 0 and i - passed or 0
                k.all[i], k.failed[i] = from > 0 and k.all[from] or 0, from > 0 and k.failed[from] or 0
            end
            k.quarter = quarter
        end
    end

    local function sum(counts)
        return counts[1] + counts[2] + counts[3] + counts[4]
    end

    local function slower(k)
        local cool = health.breaker[k.b].cool
        return min(max(k.cool, cool) * 2, SLOWEST * cool)
    end

    local function open_circuit(k, from, cool)
        k.circuit, k.next, k.cool, k.probe = true, from + cool, cool, false
    end

    function health.read(b, raw, now)
        local k, flags, at = health_of(b), nil, nil
        local all, failed = k.all, k.failed
        flags, k.paused, k.next, k.cool, k.quarter, all[1], failed[1], all[2], failed[2], all[3], failed[3], all[4],
            failed[4], k.reason, at = unpack_bytes('<I1I6I6I4I6I4I4I4I4I4I4I4I4I1c0', raw, 2)
        k.ends = floor(flags / 16) % 2 == 1
        if flags % 2 == 0 or k.ends and k.paused <= now then
            k.reason, k.ends = false, false
        end
        k.circuit = floor(flags / 2) % 2 == 1 and health.breaker[b].share > 0
        if floor(flags / 4) % 2 == 1 then
            k.probe_until, k.probe, at = unpack_bytes('<I6I1c0', raw, at)
            if k.probe_until <= now then
                open_circuit(k, k.probe_until, slower(k)) -- the probe was never reported
            end
        end
        if floor(flags / 8) % 2 == 1 then
            headers.read(k, raw, at, now)
        end
        turn_quarters(k, now)
    end

    local function matters_until(k, now)
        local expiry = k.paused
        if k.reason and not k.ends then
            expiry = now + CLOSED_FOR
        end
        if k.circuit then
            -- An open circuit that nobody probes is forgotten eight cool-downs after the probe was
            -- due.
            local cool = SLOWEST * health.breaker[k.b].cool
            expiry = max(expiry, (k.probe and k.probe_until + slower(k) or k.next) + cool)
        end
        for i = 1, QUARTERS do
            if k.all[i] > 0 then
                expiry = max(expiry, (k.quarter - i + 1 + QUARTERS) * quarter_width(k.b))
            end
        end
        return max(expiry, k.headers and k.headers.until_ms or 0)
    end

    local function write_one(k, now)
        local key = k.key
        local expiry = matters_until(k, now)
        if expiry <= now then
            redis_call('DEL', key)
            return
        end
        local flags = (k.reason and 1 or 0) + (k.circuit and 2 or 0) + (k.probe and 4 or 0) + (k.headers and 8 or 0)
            + (k.ends and 16 or 0)
        local reason, all, failed = k.reason or '', k.all, k.failed
        local packed = pack_bytes('<I1I1I6I6I4I6I4I4I4I4I4I4I4I4I1c0', 1, flags, k.paused, k.next, k.cool, k.quarter, all[1],
            failed[1], all[2], failed[2], all[3], failed[3], all[4], failed[4], #reason, reason)
        if k.probe then
            packed = packed .. pack_bytes('<I6I1c0', k.probe_until, #k.probe, k.probe)
        end
        if k.headers then
            packed = packed .. headers.pack(k.headers)
        end
        redis_call('SET', key, packed, 'PXAT', format('%d', expiry))
    end

    -- Whatever can fail comes before anything is written.
    function health.observe(now)
        for i = 1, health.n do
            local k = health.of[health.buckets[i]]
            if k and k.headers and dirty[k.b] then
                headers.observe(k, time_of(k.b, now))
            end
        end
    end

    function health.write(now)
        for i = 1, health.n do
            local k = health.of[health.buckets[i]]
            if k and k.dirty then
                k.key = health.keys[i]
                write_one(k, time_of(k.b, now))
            end
        end
    end

    -- Acquiring. How many of the `fit` that fit the limits may be granted. If the group was sent
    -- before and granted in part (`again`), none of the rest may be a probe.
    function health.room(k, fit, again, now)
        if k.reason or k.paused > now then
            return 0
        elseif not k.circuit then
            return fit
        end
        return (k.probe or k.next > now or again) and 0 or 1
    end

    -- Is there anything that could refuse an acquire or make it a probe?
    function health.doubts(k, now)
        return k.reason or k.paused > now or k.circuit
    end

    function health.granted(k, deadline)
        if k.circuit then
            k.probe, k.probe_until, k.dirty = o.slice.key .. o.nonce, deadline, true
        end
    end

    -- How long until `time` by the pool's time, `at`, which stands still until the store's, `now`,
    -- has caught up.
    local function until_then(time, at, now)
        return time > at and time - now or 0
    end

    -- The limits' answer, or the pool's own if it refuses, with the longer of the two waits.
    function health.refusal(k, at_bucket, at_limit, wait, now)
        local at = time_of(k.b, now)
        if k.reason and not k.ends then
            return 0, CLOSED, -1
        elseif wait < 0 then
            return at_bucket, at_limit, wait
        end
        local paused, circuit = until_then(k.paused, at, now), 0
        if k.circuit then
            circuit = until_then(k.probe and k.probe_until + slower(k) or k.next, at, now)
        end
        if k.reason then
            return 0, CLOSED, max(wait, paused, circuit)
        elseif paused > 0 and paused >= circuit then
            return 0, PAUSED, max(wait, paused)
        elseif circuit > 0 then
            return 0, CIRCUIT, max(wait, circuit)
        end
        return at_bucket, at_limit, wait
    end

    local function is_probe(k)
        return k.probe and o.member == 0 and k.probe == o.slice.key .. o.nonce
    end

    function health.renewed(k, deadline)
        if is_probe(k) then
            k.probe_until, k.dirty = deadline, true
        end
    end

    -- Reporting.
    local function count_probe(k, failed, now)
        if failed then
            open_circuit(k, now, slower(k))
        elseif o.kind == CANCEL then
            k.probe, k.next = false, now -- it was never sent: another call will be the probe
        else
            k.circuit, k.probe, k.next, k.cool = false, false, 0, 0
            k.all, k.failed = { 0, 0, 0, 0 }, { 0, 0, 0, 0 }
        end
        k.dirty = true
    end

    local function count(k, failed, now)
        local breaker = health.breaker[k.b]
        if breaker.share == 0 then
            return
        elseif k.circuit then
            if is_probe(k) then
                count_probe(k, failed, now)
            end
            return -- calls that were under way when it opened tell nothing new
        elseif o.kind == CANCEL and not failed or not failed and sum(k.failed) == 0 then
            return
        end
        turn_quarters(k, now)
        k.all[1] = k.all[1] + 1
        k.failed[1] = k.failed[1] + (failed and 1 or 0)
        k.dirty = true
        local all = sum(k.all)
        if failed and all >= breaker.at_least and sum(k.failed) * 1000000 >= breaker.share * all then
            open_circuit(k, now, breaker.cool)
        end
    end

    -- Called once per reservation, when it is settled, before its estimate is corrected. `usage` is
    -- what was really used.
    function health.report(r, usage, now)
        local feedback = o.feedback
        if not health.breaker[o[1]] then
            return -- a bucket without health
        end
        local failed = feedback ~= nil and feedback.failed == 1
        local k = health_of(o[1])
        count(k, failed, now)
        if not feedback then
            return
        end
        local closes = feedback.reason ~= ''
        local pause = min(feedback.pause, closes and LONGEST_CLOSING or LONGEST_PAUSE)
        if pause > 0 and now + pause > k.paused then
            k.paused, k.dirty = now + pause, true
        end
        -- A closing without a date outlasts one with a date.
        if closes and (not k.reason or k.ends and pause == 0) then
            k.reason, k.ends, k.dirty = feedback.reason, pause > 0, true
        end
        for i = 1, #feedback do
            headers.report(k, feedback[i], r, usage, now)
        end
    end

    -- For operators. Opening a pool also forgets the pause and the circuit.
    local function operate(k, now)
        if o.kind == OPEN_POOL then
            k.dirty = k.dirty or k.reason or k.paused > 0 or k.circuit or sum(k.all) > 0
            k.reason, k.ends, k.paused, k.circuit, k.probe, k.next, k.cool = false, false, 0, false, false, 0, 0
            k.all, k.failed = { 0, 0, 0, 0 }, { 0, 0, 0, 0 }
        elseif o.kind == CLOSE_POOL then
            k.reason, k.ends, k.dirty = o.feedback.reason, false, true
        end
    end

    function health.operate(now)
        local k, at = health_of(o[1]), time_of(o[1], now)
        operate(k, at)
        local state, ends, reason = 0, 0, k.reason or ''
        if k.reason then
            state, ends = 4, k.ends and until_then(k.paused, at, now) or -1
        elseif k.circuit and k.probe then
            state, ends = 3, until_then(k.probe_until, at, now)
        elseif k.circuit and (k.next > at or k.paused <= at) then
            state, ends = 2, until_then(k.next, at, now)
        elseif k.paused > at then
            state, ends = 1, until_then(k.paused, at, now)
        end
        return pack_bytes('<I1I1I1I1i8I4I4I4I1c0', SHOWN, 0, state, 0, ends, sum(k.failed), sum(k.all), k.cool, #reason, reason)
    end
end
