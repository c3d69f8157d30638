-- The books of a pool: how much of each unit was granted, reported, expired and cancelled (all as estimated), how much
-- the reports said was really used, and how much is outstanding. `ration audit` shows that they balance:
-- granted = reported + outstanding + expired + cancelled.
--
-- Outstanding estimates are kept by the second (1024 ms) of their deadline, in the pool's slots; a second that has passed is
-- moved to expired as a whole, so that nothing is ever done for a single reservation. A sixth number counts reservations.

local books_new, books_unpack, books_pack, books_owe, books_turn, books_grant, books_settle

do
    local BOOK_SECOND = 1024
    local BOOKS = { 'granted', 'reported', 'expired', 'cancelled', 'spent', 'outstanding' }
    local BOOKED_NUMBERS = 6
    local BOOKS_FORMAT = '<I7' .. string.rep('i7', #BOOKS * BOOKED_NUMBERS)
    local LONGEST_SECONDS = 3700 -- a reservation lives an hour at the most

    function books_new()
        local books = { latest = 0, owed = {} }
        for i = 1, #BOOKS do
            books[BOOKS[i]] = { 0, 0, 0, 0, 0, 0 }
        end
        return books
    end

    function books_unpack(raw, at)
        local books, numbers = books_new(), { unpack_bytes(BOOKS_FORMAT, raw, at) }
        books.latest = numbers[1]
        for i = 1, #BOOKS do
            local sum = books[BOOKS[i]]
            for j = 1, BOOKED_NUMBERS do
                sum[j] = numbers[(i - 1) * BOOKED_NUMBERS + j + 1]
            end
        end
        return books
    end

    function books_pack(books)
        local numbers = { books.latest }
        for i = 1, #BOOKS do
            local sum = books[BOOKS[i]]
            for j = 1, BOOKED_NUMBERS do
                numbers[(i - 1) * BOOKED_NUMBERS + j + 1] = sum[j]
            end
        end
        return pack_bytes(BOOKS_FORMAT, unpack(numbers))
    end

    local function books_add(sum, amounts, sign)
        for i = 1, BOOKED_NUMBERS do
            sum[i] = sum[i] + sign * amounts[i]
        end
    end

    local function books_second(b, n)
        local books = books_of[b]
        local owed = books.owed[n]
        if not owed then
            local raw = not slots_of[b].fresh and redis_call('HGET', slots_of[b].key, 'o:' .. n)
            owed = raw and { cmsgpack.unpack(raw) } or { 0, 0, 0, 0, 0, 0 }
            books.owed[n] = owed
        end
        return owed
    end

    function books_owe(b, deadline, amounts, sign)
        local books, n = books_of[b], floor(deadline / BOOK_SECOND)
        books_add(books_second(b, n), amounts, sign)
        books_add(books.outstanding, amounts, sign)
        books.latest = max(books.latest, n)
    end

    function books_turn(b, last, now)
        local books, slots = books_of[b], slots_of[b]
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
            local values = redis_call('HMGET', slots.key, unpack(fields))
            for i = 1, #fields do
                if values[i] then
                    local owed = { cmsgpack.unpack(values[i]) }
                    books_add(books.outstanding, owed, -1)
                    books_add(books.expired, owed, 1)
                    slots.dead[#slots.dead + 1] = fields[i]
                end
            end
        end
    end

    -- n equal costs were granted; `reservations` of them are new.
    function books_grant(b, deadline, cost, n, reservations)
        local books, second = books_of[b], floor(deadline / BOOK_SECOND)
        local granted, outstanding, owed = books.granted, books.outstanding, books_second(b, second)
        for i = 1, BOOKED do
            local amount = cost[i] * n
            if amount > 0 then
                granted[i] = granted[i] + amount
                outstanding[i] = outstanding[i] + amount
                owed[i] = owed[i] + amount
            end
        end
        granted[6] = granted[6] + reservations
        outstanding[6] = outstanding[6] + reservations
        owed[6] = owed[6] + reservations
        if second > books.latest then
            books.latest = second
        end
    end

    -- A report or a cancel. When the deadline's second has passed, the estimate stands under expired already.
    function books_settle(b, deadline, amounts, spent, cancelled, now)
        local books = books_of[b]
        if not books then
            return
        end
        if floor(deadline / BOOK_SECOND) < floor(now / BOOK_SECOND) then
            books_add(books.expired, amounts, -1)
        else
            books_owe(b, deadline, amounts, -1)
        end
        books_add(cancelled and books.cancelled or books.reported, amounts, 1)
        books_add(books.spent, spent, 1)
    end
end
