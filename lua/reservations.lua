-- Reservations: records in hashes. The id names the hash, its slice, and the field, its nonce. Whoever makes ids fills a slice
-- within a few seconds, so a batch writes all of its records with one HSET and whole slices expire by themselves.
--
-- A record stands for reservations that were granted as one (`states` has a letter for each member):
--     o outstanding   s settled   l settled late   c cancelled   m moved: a renewed member has a record of its own
-- Packed as msgpack: check, states, deadline, class, split_unknown + 2 * the most output that it may have (if a learned estimate
-- is charged; else 0), token, parts, each {time (before the deadline), the six estimates}. The first part is what was granted
-- when the reservation was made, the others what was added since. If a learned estimate of the input is charged, {- the input that was stated, six zeros}
-- follows: a version that does not know of it takes it for a part that charged nothing. When no member is outstanding any more
-- only check and states stay, to tell a repeated report from a foreign one, until the slice expires.
--
-- Deadline, class and the parts' times are those of the first bucket, the pool. Where the buckets' times differed when it was
-- granted or renewed, `views` has the reservation as each bucket sees it, with a deadline, a class and parts of its own; they
-- are packed behind the token: for each of three buckets I6 deadline  I1 class, and I6 the time of each part. Versions that
-- do not know of it take it for another token.

local slice_new, slice_keep, slice_check, slice_name, slice_full, slice_write
local reservation_begin, reservation_write_new, reservation_get, reservation_raw, reservation_put, reservation_estimate, reservation_add_part
local reservation_same_request, deadline_of
local apart = {} -- functions about reservations whose buckets have different times
local member_state, member_mark, member_find, member_move

local GRACE = 60000 -- a late report is still counted for as long as the reservation lived, at least a minute

do
    local reservations_index, reservation_pack
    local PARTS, VIEWS, TOKEN_BYTES = 8, 3, 8
    local TOKENS, INPUT, OUTPUT = 3, 4, 5 -- places in a part; in a cost they are one lower

    local deadline_ttl, deadline_class, deadline_width -- of the last one: most ask for the same

    -- When a reservation expires that is granted now, and the class of its deadline.
    function deadline_of(ttl, now)
        if ttl ~= deadline_ttl then
            deadline_ttl, deadline_class, deadline_width = ttl, held_class(ttl)
        end
        return ceil((now + ttl) / deadline_width) * deadline_width, deadline_class
    end

    -- Is one of the operation's buckets ahead of another?
    function apart.differ(now)
        local first = time_of(o[1], now)
        return ahead and (time_of(o[2], now) ~= first and o.targets > 1 or time_of(o[3], now) ~= first and o.targets > 2)
    end

    -- It is over for everybody when it is in one of its buckets.
    function apart.over(r, now)
        if not (ahead or r.views) then
            return now >= r.deadline
        end
        for i = 1, o.targets do
            if time_of(o[i], now) >= (r.views and r.views[i] or r).deadline then
                return true
            end
        end
        return false
    end

    local function copy_parts(parts)
        local copy = {}
        for i = 1, #parts do
            copy[i] = { unpack(parts[i]) }
        end
        return copy
    end

    local function copy_views(r)
        local views = {}
        for i = 1, VIEWS do
            local view = r.views and r.views[i] or r
            views[i] = { deadline = view.deadline, class = view.class, parts = copy_parts(view.parts) }
        end
        return views
    end

    function apart.split(r)
        r.views = copy_views(r)
    end

    local function unpack_views(token, parts)
        local views, at = {}, #token - VIEWS * (7 + 6 * #parts) + 1
        for i = 1, VIEWS do
            local view = { parts = copy_parts(parts) }
            view.deadline, view.class, at = unpack_bytes('<I6I1', token, at)
            for j = 1, #parts do
                view.parts[j][1], at = unpack_bytes('<I6', token, at)
            end
            views[i] = view
        end
        return views
    end

    local function pack_views(views)
        local packed = ''
        for i = 1, VIEWS do
            packed = packed .. pack_bytes('<I6I1', views[i].deadline, views[i].class)
            for j = 1, #views[i].parts do
                packed = packed .. pack_bytes('<I6', views[i].parts[j][1])
            end
        end
        return packed
    end

    local function reservation_unpack(slice, nonce, raw)
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
        split, token = split or 0, token or ''
        local r = {
            slice = slice, nonce = nonce, check = check, states = states, deadline = deadline, class = class,
            split_unknown = split % 2 == 1, most = (split - split % 2) / 2, token = token, parts = parts,
            stated_input = stated_input, views = false,
        }
        if #token > TOKEN_BYTES then
            r.views = unpack_views(token, parts)
            r.token = sub(token, 1, #token - VIEWS * (7 + 6 * #parts))
        end
        return r
    end

    function reservation_pack(r)
        if r.states == 's' or not string.find(r.states, '[om]') then
            return cmsgpack.pack(r.check, r.states)
        end
        local token = r.views and r.token .. pack_views(r.views) or r.token
        local packed = { r.check, r.states, r.deadline, r.class, (r.split_unknown and 1 or 0) + 2 * r.most, token }
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

    -- Takes notice of the records that are new since the last time (reservations.lua): they stand before what is in the store.
    function reservations_index(slice)
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
    function reservation_raw(slice, nonce)
        reservations_index(slice)
        if slice.packed[nonce] then
            return slice.packed[nonce]
        end
        slice.is_hash = true -- or else this fails
        return redis_call('HGET', slice.key, nonce)
    end

    function reservation_get(slice, nonce)
        reservations_index(slice)
        local r = slice.records[nonce]
        if r == nil then
            local raw = reservation_raw(slice, nonce)
            r = raw and reservation_unpack(slice, nonce, raw) or false
            slice.records[nonce] = r
        end
        return r
    end

    function reservation_put(r)
        r.slice.records[r.nonce] = r
        r.slice.dirty[r.nonce] = true
    end

    local function reservation_new(slice, nonce, check)
        return {
            slice = slice, nonce = nonce, check = check, states = '', token = '', most = 0, stated_input = 0, parts = {}, views = false,
        }
    end

    -- A new record of the operation's, whose buckets have different times.
    function apart.new(n, now)
        reservations_index(o.slice)
        local r, cost = reservation_new(o.slice, o.nonce, o.check), o.cost
        r.states, r.split_unknown, r.most, r.stated_input, r.views = rep('o', n), o.split_unknown, o.most, o.stated_input, {}
        for i = 1, VIEWS do
            local at = i <= o.targets and time_of(o[i], now) or now
            local view = { parts = { { at, cost[1], cost[2], cost[3], cost[4], cost[5], cost[6] } } }
            view.deadline, view.class = deadline_of(o.ttl, at)
            r.views[i] = view
        end
        r.deadline, r.class, r.parts = r.views[1].deadline, r.views[1].class, copy_parts(r.views[1].parts)
        reservation_put(r)
        return r
    end

    function member_state(r, member)
        return sub(r.states, member + 1, member + 1)
    end

    function member_mark(r, member, state)
        r.states = #r.states == 1 and state or sub(r.states, 1, member) .. state .. sub(r.states, member + 2)
        reservation_put(r)
    end

    -- The record in which the operation's member lives: its group's, or its own after a renewal.
    function member_find()
        local r = reservation_get(o.slice, o.nonce)
        if not r or r.check ~= o.check or o.member >= #r.states then
            return nil
        end
        if member_state(r, o.member) == 'm' then
            return reservation_get(o.slice, o.nonce .. string.char(o.member)), 0
        end
        return r, o.member
    end

    -- A member that is renewed leaves its group.
    function member_move(r, member)
        if #r.states == 1 then
            return r
        end
        local own = reservation_new(o.slice, o.nonce .. string.char(member), r.check)
        own.states, own.deadline, own.class = 'o', r.deadline, r.class
        own.split_unknown, own.most, own.stated_input = r.split_unknown, r.most, r.stated_input
        own.parts, own.views = copy_parts(r.parts), r.views and copy_views(r)
        member_mark(r, member, 'm')
        return own
    end

    -- The estimate: the sum of all parts, as cost arrays are (index 6 is `concurrent`).
    function reservation_estimate(r)
        local one = r.parts[1]
        local sum = { one[2], one[3], one[4], one[5], one[6], one[7] }
        for i = 2, #r.parts do
            for u = 1, UNITS do
                sum[u] = sum[u] + r.parts[i][u + 1]
            end
        end
        return sum
    end

    -- Was the reservation made for this cost? What counts is what was stated, which differs from what was charged where an
    -- estimate was learned; the tokens then changed by as much as their parts, and are at least as much as either (learned_estimates.lua).
    function reservation_same_request(r, cost)
        local part = r.parts[1]
        local input, output = r.stated_input > 0 and r.stated_input or part[INPUT], r.most > 0 and r.most or part[OUTPUT]
        if cost[1] ~= part[2] or cost[5] ~= part[6] or cost[6] ~= part[7] or cost[3] ~= input or cost[4] ~= output then
            return false
        end
        local tokens = min(MOST_COST, cost[2] + part[INPUT] - input + part[OUTPUT] - output)
        return part[TOKENS] == tokens or part[TOKENS] > tokens and r.most + r.stated_input > 0
            and (part[TOKENS] == part[INPUT] or part[TOKENS] == part[OUTPUT])
    end

    local function add_part(parts, at, cost)
        if #parts >= PARTS then
            -- The two oldest additions become one, with the older time: what is given back of it fades sooner, never later. The
            -- first part stays, because an acquire that is sent again is compared with it.
            for u = 2, 7 do
                parts[2][u] = parts[2][u] + parts[3][u]
            end
            table.remove(parts, 3)
        end
        parts[#parts + 1] = { at, cost[1], cost[2], cost[3], cost[4], cost[5], cost[6] }
    end

    function reservation_add_part(r, now, cost)
        add_part(r.parts, time_of(o[1], now), cost)
        for i = 1, r.views and VIEWS or 0 do
            add_part(r.views[i].parts, i <= o.targets and time_of(o[i], now) or now, cost)
        end
    end

    local MOST_IN_SLICE = 2000
    local ROUND = 4096 -- slices' expiry is rounded up, so that it is not written with each batch

    -- `fields` is what goes into the store as it is. Records by nonce are there when one was asked for: new ones
    -- as they were packed, which is all of `fields` up to `indexed`; unpacked ones (false: there is none), and which of those changed.
    function slice_new(key, clock)
        return {
            key = key, clock = clock, fields = {}, indexed = 0, packed = false, records = false, dirty = false, expiry = 0,
            names = false, count = false, is_hash = false,
        }
    end

    function slice_check(slice)
        if not slice.is_hash and (#slice.fields > 0 or slice.names or slice.dirty and next(slice.dirty)) then
            redis_call('HGET', slice.key, '')
        end
    end

    -- Whoever names an id chooses its slice. Freeing a large hash blocks the store, so there a slice takes no more than so many.
    function slice_full(slice)
        if not slice.count then
            local n = redis.pcall('HLEN', slice.key)
            slice.count, slice.is_hash = type(n) == 'number' and n or #redis_call('HKEYS', slice.key), true -- or else this fails
        end
        return slice.count + #slice.fields / 2 >= MOST_IN_SLICE
    end

    -- A slice stays until the last of its records can no longer be reported.
    function slice_keep(slice, deadline, ttl)
        local expiry = deadline + (ttl > GRACE and ttl or GRACE)
        if expiry > slice.expiry then
            slice.expiry = expiry
        end
    end

    -- A free-form id says neither tenant nor pool. What was granted under it is kept in a slice of its own, with these names
    -- beside the record; and whose it is in `owner`, for those who may act for any tenant: the names again, or nothing where
    -- several tenants use the id.
    function slice_name(slice, owner, names, deadline, ttl)
        local before = owner.names or redis_call('HGET', owner.key, 'n')
        local function tenant(of)
            return string.match(of, '^[^ ]*')
        end
        slice.names = names
        owner.names = (not before or tenant(before) == tenant(names)) and names or ''
        slice_keep(owner, deadline, ttl)
    end

    -- Of the last new record: what follows its check, and of what.
    local tail, tail_cost, tail_n, tail_split, tail_now

    function reservation_begin()
        tail_cost = false
    end

    -- A new record of one part goes straight into its packed form, most of which equal operations share.
    function reservation_write_new(n, deadline, class, now)
        local slice, cost = o.slice, o.cost
        if cost ~= tail_cost or n ~= tail_n or now ~= tail_now or o.split_unknown ~= tail_split or o.most > 0 or o.stated_input > 0 then
            tail = cmsgpack.pack(n == 1 and 'o' or rep('o', n), deadline, class, (o.split_unknown and 1 or 0) + 2 * o.most, '',
                deadline - now, cost[1], cost[2], cost[3], cost[4], cost[5], cost[6])
            if o.stated_input > 0 then
                tail = tail .. cmsgpack.pack(-o.stated_input, 0, 0, 0, 0, 0, 0)
            end
            tail_cost, tail_n, tail_split, tail_now =
                o.shape and o.most == 0 and o.stated_input == 0 and cost, n, o.split_unknown, now
        end
        local fields = slice.fields
        local at = #fields
        fields[at + 1], fields[at + 2] = o.nonce, cmsgpack.pack(o.check) .. tail
    end

    function slice_write(slice)
        local fields = slice.fields
        if slice.records then
            reservations_index(slice)
            local at = #fields
            for nonce in pairs(slice.dirty) do
                fields[at + 1], fields[at + 2] = nonce, reservation_pack(slice.records[nonce])
                at = at + 2
            end
        end
        if slice.names then
            fields[#fields + 1] = 'n'
            fields[#fields + 1] = slice.names
        end
        if #fields == 0 then
            return
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
