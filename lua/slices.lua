-- Slices: the hashes that hold reservations' records. The id names its slice, and whoever makes ids fills a slice within a few
-- seconds, so that a batch writes all of its records with one HSET and whole slices expire by themselves. What a record
-- holds is told in reservations.lua.

local slice_new, slice_keep, record_begin, record_write_new, slice_write

local GRACE = 60000 -- a late report is still counted for as long as the reservation lived, at least a minute

do
    local ROUND = 4096 -- slices' expiry is rounded up, so that it is not written with each batch

    -- `fields` is what goes into the store as it is. Records by nonce are there when one was asked for (reservations.lua): new ones
    -- as they were packed, which is all of `fields` up to `indexed`; unpacked ones (false: there is none), and which of those changed.
    function slice_new(key, clock)
        return {
            key = key, clock = clock, fields = {}, indexed = 0, packed = false, records = false, dirty = false, expiry = 0,
            names = false,
        }
    end

    -- A slice stays until the last of its records can no longer be reported.
    function slice_keep(slice, deadline, ttl)
        local expiry = deadline + (ttl > GRACE and ttl or GRACE)
        if expiry > slice.expiry then
            slice.expiry = expiry
        end
    end

    -- Of the last new record: what follows its check, and of what.
    local tail, tail_cost, tail_n, tail_split

    function record_begin()
        tail_cost = false
    end

    -- A new record of one part goes straight into its packed form, most of which equal operations share.
    function record_write_new(n, deadline, class, now)
        local slice, cost = o.slice, o.cost
        if cost ~= tail_cost or n ~= tail_n or o.split_unknown ~= tail_split or o.most > 0 or o.stated_input > 0 then
            tail = cmsgpack.pack(n == 1 and 'o' or rep('o', n), deadline, class, (o.split_unknown and 1 or 0) + 2 * o.most, '',
                deadline - now, cost[1], cost[2], cost[3], cost[4], cost[5], cost[6])
            if o.stated_input > 0 then
                tail = tail .. cmsgpack.pack(-o.stated_input, 0, 0, 0, 0, 0, 0) -- reservations.lua
            end
            tail_cost, tail_n, tail_split = o.shape and o.most == 0 and o.stated_input == 0 and cost, n, o.split_unknown
        end
        local fields = slice.fields
        local at = #fields
        fields[at + 1], fields[at + 2] = o.nonce, cmsgpack.pack(o.check) .. tail
    end

    function slice_write(slice)
        local fields = slice.fields
        if slice.records then
            records_index(slice)
            local at = #fields
            for nonce in pairs(slice.dirty) do
                fields[at + 1], fields[at + 2] = nonce, record_pack(slice.records[nonce])
                at = at + 2
            end
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
                redis_call('PEXPIREAT', slice.key, format('%d', ceil(slice.expiry / ROUND) * ROUND))
            end
        end
    end
end
