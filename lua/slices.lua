-- Slices: the hashes that hold reservations' records. The id names its slice, and whoever makes ids fills a slice within a few
-- seconds, so that a batch writes all of its records with one HSET and whole slices expire by themselves. What a record
-- holds is told in reservation.lua.

local slice_keep, record_write_new, slice_write

local GRACE = 60000 -- a late report is still counted for as long as the reservation lived, at least a minute

do
    local ROUND = 4096 -- slices' expiry is rounded up, so that it is not written with each batch

    -- A slice stays until the last of its records can no longer be reported.
    function slice_keep(slice, deadline, ttl)
        local expiry = deadline + (ttl > GRACE and ttl or GRACE)
        if expiry > slice.expiry then
            slice.expiry = expiry
        end
    end

    -- A new record of one part goes straight into its packed form.
    function record_write_new(n, deadline, class, now)
        local slice, cost = o.slice, o.cost
        local raw = cmsgpack.pack(o.check, n == 1 and 'o' or string.rep('o', n), deadline, class,
            (o.split_unknown and 1 or 0) + 2 * o.most, '', deadline - now, cost[1], cost[2], cost[3], cost[4], cost[5], cost[6])
        if o.stated_input > 0 then
            raw = raw .. cmsgpack.pack(-o.stated_input, 0, 0, 0, 0, 0, 0) -- reservation.lua
        end
        if slice.dirty then
            slice.raw[o.nonce], slice.records[o.nonce], slice.dirty[o.nonce] = raw, nil, nil
        end
        local fields = slice.fields
        fields[#fields + 1] = o.nonce
        fields[#fields + 1] = raw
    end

    function slice_write(slice)
        local fields = slice.fields
        for nonce in pairs(slice.dirty or NOTHING) do
            fields[#fields + 1] = nonce
            fields[#fields + 1] = record_pack(slice.records[nonce])
        end
        if #fields == 0 then
            return
        end
        if slice.names then
            fields[#fields + 1] = 'n'
            fields[#fields + 1] = slice.names
        end
        -- A record that is new and was touched again in the same batch stands here twice; the later one counts.
        for first = 1, #fields, 1000 do
            redis_call('HSET', slice.key, unpack(fields, first, min(first + 999, #fields)))
        end
        if slice.expiry > 0 then
            local lives = redis_call('PTTL', slice.key)
            if lives < 0 or lives + slice.clock < slice.expiry then
                redis_call('PEXPIREAT', slice.key, string.format('%d', ceil(slice.expiry / ROUND) * ROUND))
            end
        end
    end
end
