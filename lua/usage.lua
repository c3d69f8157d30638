-- What was used of each unit, from what a report states and, for the rest, the estimate. README.md
-- has the rules.
--
-- stated: bit 1 << unit is set if `cost` states that unit. estimate: as granted. split_unknown: the
-- acquire stated only tokens, so input and output each stand for all of them. partial: the call was
-- cut short. Units are numbered 1 - 5, as in cost arrays.

local function actual_usage(stated, cost, estimate, split_unknown, partial)
    local tokens, input, output = stated % 4 >= 2, stated % 8 >= 4, stated % 16 >= 8
    local usage = {
        stated % 2 == 1 and cost[1] or estimate[1], tokens and cost[2] or estimate[2], input and cost[3] or estimate[3],
        output and cost[4] or estimate[4], stated % 32 >= 16 and cost[5] or estimate[5], 0,
    }
    if not tokens and (input or output) then
        if input and output then
            usage[2] = usage[3] + usage[4]
        elseif split_unknown then
            usage[2] = max(estimate[2], input and usage[3] or usage[4])
        else
            usage[2] = max(0, estimate[2] + usage[3] - estimate[3] + usage[4] - estimate[4])
        end
    elseif tokens and input ~= output then
        if input then
            usage[4] = max(0, usage[2] - usage[3])
        else
            usage[3] = max(0, usage[2] - usage[4])
        end
    elseif tokens and split_unknown and not input then
        usage[3], usage[4] = usage[2], usage[2]
    end
    if partial then
        -- A call that was cut short is not free: the provider has at least read the input.
        if split_unknown then
            usage[3] = max(usage[3], estimate[3])
        else
            -- Any tokens reported beyond the input are output.
            usage[3] = max(input and usage[3] or 0, estimate[3])
            usage[4] = output and usage[4] or tokens and max(0, usage[2] - usage[3]) or 0
        end
        local least = estimate[3] > 0 and max(estimate[3], output and usage[3] + usage[4] or 0) or estimate[2]
        usage[2] = max(tokens and usage[2] or 0, least)
    end
    return usage
end
