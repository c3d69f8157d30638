-- What no script that keeps a level a limit and a record a reservation can do without, with nothing decided: a batch of acquires,
-- each of another tenant, whose operations are read, whose levels are read and written as numbers, and whose reservations are
-- written to their slice; as many numbers and bytes of each as decide's.
--
-- KEYS: the tenants' levels, then the slice; ARGV: an operation for each. Gives how many tenants there were.
local OPERATION, LEVELS, RECORD_BYTES = '<I1I1I1I1I1I1I2I2I2I2I1c8I6c40', '<I1I1I6I4I4I3I1I6I5I6I3I1I6I5I6I3I1I6I5I6', 41
local call, sub, pack, unpack_bytes = redis.call, string.sub, struct.pack, struct.unpack
local input, tenants = ARGV[1], #KEYS - 1
local found, fields, at = call('MGET', unpack(KEYS, 1, tenants)), {}, 1
for i = 1, tenants do
    local begin, nonce, _ = at, nil, nil
    _, _, _, _, _, _, _, _, _, _, _, nonce, _, _, at = unpack_bytes(OPERATION, input, at)
    if found[i] then
        local levels = { unpack_bytes(LEVELS, found[i]) }
        levels[3] = levels[3] + 1
        call('SET', KEYS[i], pack(LEVELS, unpack(levels, 1, 20)), 'KEEPTTL')
    else
        call('SET', KEYS[i], pack(LEVELS, 3, 3, begin, 0, 0, 1, 0, 1, 0, begin, 2, 0, 1, 0, begin, 3, 0, 1, 0, begin), 'PX', 60000)
    end
    fields[2 * i - 1], fields[2 * i] = nonce, sub(input, begin, begin + RECORD_BYTES - 1)
end
call('HSET', KEYS[tenants + 1], unpack(fields))
call('PEXPIRE', KEYS[tenants + 1], 60000)
return tenants
