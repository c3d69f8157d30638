-- Forgiving debt: takes away what is used beyond the capacity of a limit, and gives nothing more.
--
-- Debt comes from reports of more than was estimated. Those were the latest charges when they were
-- made, and nothing fits while there is debt, so the latest charges are taken away; what was used
-- before comes back when it would have.
--
-- What was forgiven is written into a record, which has no deadline and is not a reservation: an
-- operation that is sent again because nobody knows whether it arrived gets the same answer, and
-- does not forgive what was used meanwhile.

local forgive

do
    local FORGIVEN, STATE = 11, 'f'

    -- From the open slot, then from those before it.
    local function forgive_rolling(s, amount, now)
        local limit, b = limit_of[s], bucket_of[s]
        local first, fields = rolling_first(limit, now), {}
        for slot = first, open_slot[s] - 1 do
            fields[#fields + 1] = limit.sig .. ':' .. slot
        end
        local left = amount - min(amount, in_slot[s])
        in_slot[s] = in_slot[s] - (amount - left)
        slots_fetch(b, left > 0 and fields or NOTHING)
        for i = left > 0 and #fields or 0, 1, -1 do
            local value = slot_get(b, fields[i])
            local share = min(left, value)
            if share > 0 then
                slot_set(b, fields[i], value - share)
                left = left - share
            end
        end
        used[s] = used[s] - (amount - left)
        return amount - left
    end

    -- Returns how much was forgiven.
    local function forgive_limit(s, now)
        local algorithm = limit_of[s].algorithm
        local debt = min(used[s], used[s] + held[s] - limit_of[s].capacity)
        if debt <= 0 then
            return 0
        elseif algorithm == ROLLING then
            return forgive_rolling(s, debt, now)
        elseif algorithm == BUCKET then
            bucket_refund(s, debt, now) -- as for a charge made now
        else
            used[s] = used[s] - debt
        end
        return debt
    end

    local function answer_with(amounts)
        local rows = {}
        for i = 1, #amounts do
            rows[i] = pack_bytes('<i8i8', amounts[i], 0)
        end
        return pack_bytes('<I1I1I1I1i8', FORGIVEN, #amounts, 0, 0, 0) .. concat(rows)
    end

    function forgive(now)
        local before = o.resent and reservation_raw(o.slice, o.nonce)
        if before then
            local kept = { cmsgpack.unpack(before) }
            return answer_with({ unpack(kept, 4) })
        end
        local amounts, any = {}, false
        for i = 1, o.targets do
            local b = o[i]
            for j = 1, #set_of[b] do
                local amount = forgive_limit(first_of[b] + j, time_of(b, now))
                amounts[#amounts + 1] = amount
                if amount > 0 then
                    any, dirty[b] = true, true
                end
            end
        end
        if any then
            local fields = o.slice.fields
            fields[#fields + 1] = o.nonce
            fields[#fields + 1] = cmsgpack.pack(o.check, STATE, false, unpack(amounts))
            slice_keep(o.slice, now, GRACE)
        end
        return answer_with(amounts)
    end
end
