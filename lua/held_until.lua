-- What is held until a deadline, by limits that count when a call ends and by `concurrent`.

local held_add, held_sub, held_between, held_turn

do
    local HELD_AHEAD = 130

    local function held_field(limit, class, deadline)
        return 'h' .. limit.sig .. ':' .. class .. ':' .. deadline / 2 ^ class
    end

    function held_add(s, class, deadline, amount)
        local b = bucket_of[s]
        local field = held_field(limit_of[s], class, deadline)
        slot_set(b, field, slot_get(b, field) + amount)
        held[s] = held[s] + amount
        if floor(classes[s] / 2 ^ class) % 2 == 0 then
            classes[s] = classes[s] + 2 ^ class
        end
    end

    function held_sub(s, class, deadline, amount)
        local b = bucket_of[s]
        local field = held_field(limit_of[s], class, deadline)
        local value = slot_get(b, field)
        -- It is less only if the limit's definition has changed; never take what others hold.
        amount = min(amount, value)
        slot_set(b, field, value - amount)
        held[s] = held[s] - amount
    end

    local function sooner(a, b)
        return a[1] < b[1] or a[1] == b[1] and a[3] < b[3]
    end

    -- The deadlines after `from`, up to `to`, at which something is held, as {deadline, amount,
    -- field}, soonest first.
    function held_between(s, from, to)
        local b, limit, list, fields = bucket_of[s], limit_of[s], {}, {}
        local bits, class = classes[s], 0
        while bits > 0 do
            if bits % 2 == 1 then
                local width = 2 ^ class
                local first = floor(from / width) + 1
                for n = first, min(floor(to / width), first + HELD_AHEAD) do
                    local deadline = n * width
                    local field = held_field(limit, class, deadline)
                    fields[#fields + 1] = field
                    list[#list + 1] = { deadline, 0, field }
                end
            end
            bits, class = floor(bits / 2), class + 1
        end
        slots_fetch(b, fields)
        local found = {}
        for i = 1, #list do
            local amount = slot_get(b, list[i][3])
            if amount > 0 then
                list[i][2] = amount
                found[#found + 1] = list[i]
            end
        end
        table.sort(found, sooner)
        return found
    end

    -- Removes what was held until deadlines that have passed, and hands each to expire(s, deadline,
    -- amount).
    function held_turn(s, last, now, expire)
        local passed = held_between(s, last, now)
        for i = 1, #passed do
            held[s] = held[s] - passed[i][2]
            slot_set(bucket_of[s], passed[i][3], 0)
            expire(s, passed[i][1], passed[i][2])
        end
        if held[s] == 0 then
            classes[s] = 0
        end
    end
end
