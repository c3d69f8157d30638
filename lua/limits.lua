-- What the four algorithms have in common: tables of their functions, indexed by algorithm + 1.

local limit_refresh, limit_charge, limit_refund, limit_wait, charge_by

do
    local refresh_by = { bucket_refresh, rolling_refresh, calendar_refresh, concurrent_refresh }
    charge_by = { bucket_charge, rolling_charge, calendar_charge, nothing }
    local refund_by = { bucket_refund, rolling_refund, calendar_refund, nothing }
    local wait_by = { bucket_wait, rolling_wait, calendar_wait, concurrent_wait }

    function limit_refresh(s, last, now)
        refresh_by[limit_of[s].algorithm + 1](s, last, now)
    end

    function limit_charge(s, amount, at)
        charge_by[limit_of[s].algorithm + 1](s, amount, at)
    end

    function limit_refund(s, amount, from, now)
        refund_by[limit_of[s].algorithm + 1](s, amount, from, now)
    end

    -- Milliseconds until used + held <= room; room >= 0.
    function limit_wait(s, room, now)
        return wait_by[limit_of[s].algorithm + 1](s, room, now)
    end
end
