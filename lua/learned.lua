-- Estimates that learn: which share of the most that it may answer a call of this tenant to this pool really answers. An
-- acquire that asks for it is charged the 0.9 quantile of that share instead of the whole; its report tells how it was.
--
-- Shares are counted in 40 classes, each 2^(-1/4) of the one before (so what is charged is at most 19 % above the quantile), in
-- a key of tenant and pool. From eight calls on they are believed; at two hundred all counts are halved, so that what was long
-- ago fades. Packed: I1 format (1)  40 x I2.

do
    local CLASSES, BELIEVED, MOST = 40, 8, 200
    local ONE = 1000000
    local LIVES = 86400000
    local books = {} -- of this batch: shares by key
    local bounds = {} -- the largest share of each class, in millionths
    for i = 1, CLASSES do
        bounds[i] = floor(ONE * 2 ^ ((1 - i) / 4))
    end
    local FORMAT = '<' .. string.rep('I2', CLASSES)

    function know.learned_begin()
        books = next(books) and {} or books
    end

    local function shares_of(key)
        local shares = books[key]
        if not shares then
            local raw = redis_call('GET', key)
            if raw then
                shares = { unpack_bytes(FORMAT, raw, 2) }
                shares[CLASSES + 1] = nil -- where the reading stopped
            else
                shares = {}
                for i = 1, CLASSES do
                    shares[i] = 0
                end
            end
            shares.n = 0
            for i = 1, CLASSES do
                shares.n = shares.n + shares[i]
            end
            books[key] = shares
        end
        return shares
    end

    local function part_of(amount, share)
        local whole, rest = mul_div(amount, share, 0, ONE)
        return rest > 0 and whole + 1 or whole
    end

    -- The stated output becomes the learned one, and the tokens less by as much; what was stated is kept for the report.
    function know.learned_cost(cost)
        local shares, most = shares_of(o.estimates), cost[4]
        if most == 0 then
            return
        end
        o.most = most
        if shares.n < BELIEVED then
            return
        end
        local above, class = 0, 0
        repeat
            class = class + 1
            above = above + shares[class]
        until above * 10 > shares.n or class == CLASSES
        local learned = max(1, part_of(most, bounds[class]))
        cost[2] = max(learned, cost[2] - (most - learned))
        cost[4] = learned
    end

    function know.learned_teach(most, actual)
        local shares = shares_of(o.estimates)
        local share, rest = mul_div(min(actual, most), ONE, 0, most)
        share = rest > 0 and share + 1 or share
        local class = 1
        while class < CLASSES and bounds[class + 1] >= share do
            class = class + 1
        end
        shares[class], shares.n, shares.dirty = shares[class] + 1, shares.n + 1, true
        if shares.n >= MOST then
            shares.n = 0
            for i = 1, CLASSES do
                shares[i] = floor(shares[i] / 2)
                shares.n = shares.n + shares[i]
            end
        end
    end

    function know.learned_write(now)
        for key, shares in pairs(books) do
            if shares.dirty then
                redis_call('SET', key, '\1' .. pack_bytes(FORMAT, unpack(shares, 1, CLASSES)), 'PXAT',
                    string.format('%d', now + LIVES))
            end
        end
    end
end
