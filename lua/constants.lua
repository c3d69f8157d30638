-- Short names that every file uses, and the numbers of the wire (README.md has its layout).
--
-- Lua's numbers are doubles: integers are exact below 2^53, and nothing here may leave that range.
-- Amounts are at most 10^13 and costs at most 10^12, so sums stay far below it; products do not,
-- and go through mul_div.

local floor, ceil, min, max = math.floor, math.ceil, math.min, math.max
local sub, byte, rep, concat, format = string.sub, string.byte, string.rep, table.concat, string.format
local unpack_bytes, pack_bytes = struct.unpack, struct.pack
local redis_call = redis.call

local EXACT = 2 ^ 53
local MOST_COST = 10 ^ 12 -- RATION_MAX_COST
local NOTHING = {} -- any empty table

local BUCKET, ROLLING, CALENDAR, CONCURRENT = 0, 1, 2, 3
-- The number 8 stands for showing a pool, which needs no name.
local ACQUIRE, REPORT, RENEW, CANCEL, PEEK, OPEN_POOL, CLOSE_POOL, FORGIVE = 1, 2, 3, 4, 5, 6, 7, 9
local UNITS = 6 -- requests, tokens, input_tokens, output_tokens, usd, concurrent
local LEDGER_UNITS = 5 -- the first five, which the ledger counts

local LEVELS_FORMAT, OLDEST_FORMAT = 4, 3 -- what bucket.lua writes, and the oldest it reads
local SLOTS = 120 -- per period of a rolling limit

