-- Reservations: records in hashes, each hash a slice that the id names, each record a field named by the id's nonce.
--
-- A record stands for reservations that were granted as one (`states` has a letter for each member):
--     o outstanding   s settled   l settled late   c cancelled   m moved: a renewed member has a record of its own
-- Packed as msgpack: check, states, deadline, class, split_unknown + 2 * the most output that it may have (where what was
-- learned is charged; else 0), token, parts, each {time (before the deadline), the six estimates}. The first part is what was
-- granted, the others what was added since. Where what was learned of the input is charged, {- the input that was stated, six
-- zeros} follows: a version that does not know of it takes it for a part that charged nothing. When no member is outstanding
-- any more only check and states stay, to tell a repeated report from a foreign one, until the slice expires.


local records_index, record_raw, record_get, record_put, record_pack, member_state, member_mark, member_find, member_move,
    record_estimate, record_add_part

do
    local PARTS = 8

    local function record_unpack(slice, nonce, raw)
        local check, states, deadline, class, split, token, before, c1, c2, c3, c4, c5, c6, more = cmsgpack.unpack(raw)
        local parts, stated_input = deadline and { { deadline - before, c1, c2, c3, c4, c5, c6 } } or {}, 0
        if more then
            local packed = { cmsgpack.unpack(raw) }
            for at = 14, #packed, 7 do
                if packed[at] < 0 then
                    stated_input = -packed[at]
                else
                    parts[#parts + 1] = { deadline - packed[at], unpack(packed, at + 1, at + 6) }
                end
            end
        end
        split = split or 0
        return {
            slice = slice, nonce = nonce, check = check, states = states, deadline = deadline, class = class,
            split_unknown = split % 2 == 1, most = (split - split % 2) / 2, token = token or '', parts = parts,
            stated_input = stated_input,
        }
    end

    function record_pack(r)
        if r.states == 's' or not string.find(r.states, '[om]') then
            return cmsgpack.pack(r.check, r.states)
        end
        local packed = { r.check, r.states, r.deadline, r.class, (r.split_unknown and 1 or 0) + 2 * r.most, r.token }
        for i = 1, #r.parts do
            local part = r.parts[i]
            packed[#packed + 1] = r.deadline - part[1]
            for u = 2, 7 do
                packed[#packed + 1] = part[u]
            end
        end
        if r.stated_input > 0 then
            return cmsgpack.pack(unpack(packed)) .. cmsgpack.pack(-r.stated_input, 0, 0, 0, 0, 0, 0)
        end
        return cmsgpack.pack(unpack(packed))
    end

    -- Takes notice of the records that are new since the last time (slices.lua): they stand before what is in the store.
    function records_index(slice)
        local fields = slice.fields
        if slice.indexed == #fields and slice.records then
            return
        elseif not slice.records then
            slice.packed, slice.records, slice.dirty = {}, {}, {}
        end
        for i = slice.indexed + 1, #fields, 2 do
            local nonce = fields[i]
            slice.packed[nonce], slice.records[nonce], slice.dirty[nonce] = fields[i + 1], nil, nil
        end
        slice.indexed = #fields
    end

    -- A record as it is packed, be it new in this batch; false if there is none.
    function record_raw(slice, nonce)
        records_index(slice)
        return slice.packed[nonce] or redis_call('HGET', slice.key, nonce)
    end

    function record_get(slice, nonce)
        records_index(slice)
        local r = slice.records[nonce]
        if r == nil then
            local raw = record_raw(slice, nonce)
            r = raw and record_unpack(slice, nonce, raw) or false
            slice.records[nonce] = r
        end
        return r
    end

    function record_put(r)
        r.slice.records[r.nonce] = r
        r.slice.dirty[r.nonce] = true
    end

    local function record_new(slice, nonce, check)
        return { slice = slice, nonce = nonce, check = check, states = '', token = '', most = 0, stated_input = 0, parts = {} }
    end

    function member_state(r, member)
        return sub(r.states, member + 1, member + 1)
    end

    function member_mark(r, member, state)
        r.states = #r.states == 1 and state or sub(r.states, 1, member) .. state .. sub(r.states, member + 2)
        record_put(r)
    end

    -- The record in which the operation's member lives: its group's, or its own after a renewal.
    function member_find()
        local r = record_get(o.slice, o.nonce)
        if not r or r.check ~= o.check or o.member >= #r.states then
            return nil
        end
        if member_state(r, o.member) == 'm' then
            return record_get(o.slice, o.nonce .. string.char(o.member)), 0
        end
        return r, o.member
    end

    -- A member that is renewed leaves its group.
    function member_move(r, member)
        if #r.states == 1 then
            return r
        end
        local own = record_new(o.slice, o.nonce .. string.char(member), r.check)
        own.states, own.deadline, own.class = 'o', r.deadline, r.class
        own.split_unknown, own.most, own.stated_input = r.split_unknown, r.most, r.stated_input
        for i = 1, #r.parts do
            own.parts[i] = { unpack(r.parts[i]) }
        end
        member_mark(r, member, 'm')
        return own
    end

    -- The estimate: the sum of all parts, as cost arrays are (index 6 is `concurrent`).
    function record_estimate(r)
        local one = r.parts[1]
        local sum = { one[2], one[3], one[4], one[5], one[6], one[7] }
        for i = 2, #r.parts do
            for u = 1, UNITS do
                sum[u] = sum[u] + r.parts[i][u + 1]
            end
        end
        return sum
    end

    function record_add_part(r, now, cost)
        local parts = r.parts
        if #parts >= PARTS then
            -- The two oldest become one, with the older time: what is given back of it fades sooner, never later.
            for u = 2, 7 do
                parts[1][u] = parts[1][u] + parts[2][u]
            end
            table.remove(parts, 2)
        end
        parts[#parts + 1] = { now, cost[1], cost[2], cost[3], cost[4], cost[5], cost[6] }
    end
end
