-- The books of a pool: how much of each unit was granted, reported, expired and cancelled (all as estimated), how much
-- the reports said was really used, and how much is outstanding. `ration audit` shows that they balance:
-- granted = reported + outstanding + expired + cancelled.
--
-- Outstanding estimates are kept by the second (1024 ms) of their deadline, in the pool's slots; a second that has passed is
-- moved to expired as a whole, so that nothing is ever done for a single reservation. A sixth number counts reservations.

local BOOK_SECOND = 1024
local BOOKS = { 'granted', 'reported', 'expired', 'cancelled', 'spent', 'outstanding' }
local BOOKED_NUMBERS = 6
local LONGEST_SECONDS = 3700 -- a reservation lives an hour at the most

local function books_new()
    local books = { latest = 0 }
    for i = 1, #BOOKS do
        books[BOOKS[i]] = { 0, 0, 0, 0, 0, 0 }
    end
    return books
end

local function books_add(sum, amounts, sign)
    for i = 1, BOOKED_NUMBERS do
        sum[i] = sum[i] + sign * amounts[i]
    end
end

local function books_second(bucket, n)
    local owed = bucket.owed[n]
    if not owed then
        local raw = redis_call('HGET', bucket.slots_key, 'o:' .. n)
        owed = raw and { cmsgpack.unpack(raw) } or { 0, 0, 0, 0, 0, 0 }
        bucket.owed[n] = owed
    end
    return owed
end

local function books_owe(bucket, deadline, amounts, sign)
    local books, n = bucket.books_state, floor(deadline / BOOK_SECOND)
    books_add(books_second(bucket, n), amounts, sign)
    books_add(books.outstanding, amounts, sign)
    books.latest = max(books.latest, n)
end

local function books_turn(bucket, last, now)
    local books = bucket.books_state
    if books.outstanding[6] == 0 then
        return
    end
    local first, gone = floor(last / BOOK_SECOND), min(floor(now / BOOK_SECOND) - 1, books.latest)
    first = max(first, gone - LONGEST_SECONDS)
    for from = first, gone, 500 do
        local fields, to = {}, min(from + 499, gone)
        for n = from, to do
            fields[#fields + 1] = 'o:' .. n
        end
        local values = redis_call('HMGET', bucket.slots_key, unpack(fields))
        for i = 1, #fields do
            if values[i] then
                local owed = { cmsgpack.unpack(values[i]) }
                books_add(books.outstanding, owed, -1)
                books_add(books.expired, owed, 1)
                bucket.dead[#bucket.dead + 1] = fields[i]
            end
        end
    end
end

local function books_grant(bucket, deadline, amounts)
    if bucket.books then
        books_add(bucket.books_state.granted, amounts, 1)
        books_owe(bucket, deadline, amounts, 1)
    end
end

-- A report or a cancel. When the deadline's second has passed, the estimate stands under expired already.
local function books_settle(bucket, deadline, amounts, spent, cancelled, now)
    if not bucket.books then
        return
    end
    local books = bucket.books_state
    if floor(deadline / BOOK_SECOND) < floor(now / BOOK_SECOND) then
        books_add(books.expired, amounts, -1)
    else
        books_owe(bucket, deadline, amounts, -1)
    end
    books_add(cancelled and books.cancelled or books.reported, amounts, 1)
    books_add(books.spent, spent, 1)
end
