-- What was used of each unit, from what a report states and, for the rest, the estimate. README.md has the rules.
--
-- stated: bit 1 << unit where `cost` states it. estimate: as granted. split_unknown: only tokens were stated then, so that
-- input and output stand for all of it. partial: the call was cut short. Units 1 - 5 are those of cost arrays.

local function actual_use(stated, cost, estimate, split_unknown, partial)
    local max = math.max
    local use, said = {}, {}
    for unit = 1, 5 do
        said[unit] = stated % 2 == 1
        use[unit] = said[unit] and cost[unit] or estimate[unit]
        stated = (stated - stated % 2) / 2
    end
    local tokens, input, output = said[2], said[3], said[4]
    if not tokens and (input or output) then
        if input and output then
            use[2] = use[3] + use[4]
        elseif split_unknown then
            use[2] = max(estimate[2], input and use[3] or use[4])
        else
            use[2] = max(0, estimate[2] + use[3] - estimate[3] + use[4] - estimate[4])
        end
    elseif tokens and input ~= output then
        if input then
            use[4] = max(0, use[2] - use[3])
        else
            use[3] = max(0, use[2] - use[4])
        end
    elseif tokens and split_unknown and not input then
        use[3], use[4] = use[2], use[2]
    end
    if partial then
        -- A call that was cut short is not free: the provider has read the input at least.
        if split_unknown then
            use[3] = max(use[3], estimate[3])
        else
            -- Whatever tokens were reported beyond the input are output.
            use[3] = max(input and use[3] or 0, estimate[3])
            use[4] = output and use[4] or tokens and max(0, use[2] - use[3]) or 0
        end
        local least = estimate[3] > 0 and max(estimate[3], output and use[3] + use[4] or 0) or estimate[2]
        use[2] = max(tokens and use[2] or 0, least)
    end
    use[6] = 0
    return use
end
