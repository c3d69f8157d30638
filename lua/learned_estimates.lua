-- Estimates that learn. An acquire that asks for this states its estimate of the input, the most
-- output it may get, or both. It is charged the 0.9 quantile of what this tenant's calls to this
-- pool came to, as a share of what they stated. Its report says how it turned out.
--
--     output   a share of at most 1: the stated amount is the maximum
--     input    from a hundredth up to 8: pictures, tools and other tokenizers make more of a prompt
--              than its characters suggest, and if the provider does not count what it reads from
--              its cache, nearly nothing may be left of it
--
-- Shares are counted in 40 classes, each 2^(-1/4) of the one before (so the charge is at most 19 %
-- above the quantile), in a key for each tenant and pool. They are used once eight calls have been
-- counted; at two hundred all counts are halved, so that old calls fade.
--
-- Packed: I1 format (2)  40 x I2 output  40 x I2 input. Format 1 ended with the output, and the
-- versions that wrote it read only the output, whatever the format. A format that is not known here
-- is not read, and everything is learned anew.

do
    local CLASSES, BELIEVED, MOST = 40, 8, 200
    local ONE, GREATEST = 1000000, 8
    local LIVES = 86400000
    local INPUT, OUTPUT, TOKENS = 3, 4, 2 -- indices of cost arrays
    local books = {} -- of this batch, by key
    local FORMAT, FORMAT_NUMBER = '<' .. string.rep('I2', CLASSES), 2

    function estimates.begin()
        books = next(books) and {} or books
    end

    local function bounds_from(greatest) -- the largest share of each class, in millionths
        local bounds = {}
        for i = 1, CLASSES do
            bounds[i] = floor(greatest * ONE * 2 ^ ((1 - i) / 4))
        end
        return bounds
    end
    local bounds_of = { [INPUT] = bounds_from(GREATEST), [OUTPUT] = bounds_from(1) }

    local function counts_of(raw, at)
        local counts = raw and #raw >= at + 2 * CLASSES - 1 and { unpack_bytes(FORMAT, raw, at) } or {}
        counts[CLASSES + 1] = nil -- the position at which unpacking stopped
        counts.n = 0
        for i = 1, CLASSES do
            counts[i] = counts[i] or 0
            counts.n = counts.n + counts[i]
        end
        return counts
    end

    local function book_of(key)
        local book = books[key]
        if not book then
            local raw = redis_call('GET', key)
            raw = raw and #raw > 0 and string.byte(raw) <= FORMAT_NUMBER and raw
            book = { [OUTPUT] = counts_of(raw, 2), [INPUT] = counts_of(raw, 2 + 2 * CLASSES), dirty = false }
            books[key] = book
        end
        return book
    end

    -- What to charge instead of what is stated; nil if too little has been learned or nothing is
    -- stated.
    local function learned_of(book, unit, stated)
        local counts = book[unit]
        if stated == 0 or counts.n < BELIEVED then
            return nil
        end
        local above, class = 0, 0
        repeat
            class = class + 1
            above = above + counts[class]
        until above * 10 > counts.n or class == CLASSES
        local whole, rest = mul_div(stated, bounds_of[unit][class], 0, ONE)
        return max(1, rest > 0 and whole + 1 or whole)
    end

    -- The most input that every limit could ever hold together with `beside` other tokens.
    local function most_input(beside)
        local most = MOST_COST
        for i = 1, o.targets do
            local set = set_of[o[i]]
            for j = 1, #set do
                local limit = set[j]
                local capacity = limit.capacity - limit[o.priority + 1]
                if limit.unit == INPUT then
                    most = min(most, capacity)
                elseif limit.unit == TOKENS then
                    most = min(most, capacity - beside)
                end
            end
        end
        return most
    end

    -- Replaces what is stated with what was learned and changes the tokens by the same amount; what
    -- was stated is kept for the report. More input than stated is charged only as far as it fits
    -- the limits: a guess must never make a call impossible that could be made as stated, since
    -- only its report could prove the guess wrong.
    function estimates.cost(cost)
        local book = book_of(o.estimates)
        o.stated_input = floor(o.stated / 4) % 2 == 1 and cost[INPUT] or 0
        o.most = floor(o.stated / 8) % 2 == 1 and cost[OUTPUT] or 0
        local input, output = learned_of(book, INPUT, o.stated_input), learned_of(book, OUTPUT, o.most)
        local others = cost[TOKENS] - cost[INPUT] + (output and output - o.most or 0)
        if input and input > o.stated_input then
            input = max(o.stated_input, min(input, most_input(max(0, others))))
        end
        cost[TOKENS] = min(MOST_COST, max(input or 0, output or 0, others + (input or cost[INPUT])))
        cost[INPUT], cost[OUTPUT] = input or cost[INPUT], output or cost[OUTPUT]
    end

    local function teach(counts, bounds, stated, actual)
        local share, rest = mul_div(min(actual, GREATEST * stated), ONE, 0, stated)
        share = rest > 0 and share + 1 or share
        local class = 1
        while class < CLASSES and bounds[class + 1] >= share do
            class = class + 1
        end
        counts[class], counts.n = counts[class] + 1, counts.n + 1
        if counts.n >= MOST then
            counts.n = 0
            for i = 1, CLASSES do
                counts[i] = floor(counts[i] / 2)
                counts.n = counts.n + counts[i]
            end
        end
    end

    -- Learns from the report of r, for each part that it states. The output may also follow from
    -- the input and the sum, but not the input from the output and the sum: a caller to whom the
    -- provider reports no input puts its own estimate into the sum. Returns which parts it learned
    -- (1 output, 2 input, 3 both, 0 neither), and by how much more output and input was charged
    -- than used.
    function estimates.teach(r, usage, estimate)
        local tokens, input, output = o.stated % 4 >= 2, o.stated % 8 >= 4, o.stated % 16 >= 8
        local which, over_output, over_input, book = 0, 0, 0, book_of(o.estimates)
        if r.most > 0 and (output or tokens and input) then
            which, over_output = 1, estimate[OUTPUT] - usage[OUTPUT]
            teach(book[OUTPUT], bounds_of[OUTPUT], r.most, usage[OUTPUT])
        end
        if r.stated_input > 0 and input then
            which, over_input = which + 2, estimate[INPUT] - usage[INPUT]
            teach(book[INPUT], bounds_of[INPUT], r.stated_input, usage[INPUT])
        end
        book.dirty = book.dirty or which > 0
        return which, over_output, over_input
    end

    function estimates.write(now)
        for key, book in pairs(books) do
            if book.dirty then
                local packed = string.char(FORMAT_NUMBER) .. pack_bytes(FORMAT, unpack(book[OUTPUT], 1, CLASSES))
                    .. pack_bytes(FORMAT, unpack(book[INPUT], 1, CLASSES))
                redis_call('SET', key, packed, 'PXAT', string.format('%d', now + LIVES))
            end
        end
    end
end
