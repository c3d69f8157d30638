/*
 * What rationd and its clients share: names, reply fields, size limits, the form of an id.
 *
 * rationd speaks RESP2 (RESP3 after HELLO 3) on port 7420, so any Redis client is already a client:
 *
 *     $ redis-cli -p 7420 ACQUIRE openai/gpt-4o acme tokens 500
 *      1) "status"
 *      2) "granted"
 *      3) "id"
 *      4) "r1.k7f3q2m9x1a.9f8e7d6c5b4a3928.0.acme@openai/gpt-4o"
 *      ...
 *
 * This is the only header that both sides include. It declares no function and holds no code, so
 * that a client in another language can be written from this page alone.
 */
#ifndef RATION_PROTOCOL_H
#define RATION_PROTOCOL_H

/* ---- Ports ----------------------------------------------------------------------------------- */

#define RATION_PORT_RESP 7420
#define RATION_PORT_HTTP 7421

/* ---- Units --------------------------------------------------------------------------------------
 *
 * What limits count and costs are stated in. The order is part of the store's format: append only.
 * `usd` is counted in millionths of a dollar; everything else in ones.
 *
 * A cost implies `requests 1` and `concurrent 1` unless it states them. If it does not state
 * `tokens`, that is input_tokens + output_tokens; if it states only `tokens`, a limit on
 * input_tokens or output_tokens is charged all of it, because the call might use it either way,
 * until the report says how it was split.
 */
#define RATION_UNITS(X)                                                                            \
    X(REQUESTS, "requests")                                                                        \
    X(TOKENS, "tokens")                                                                            \
    X(INPUT_TOKENS, "input_tokens")                                                                \
    X(OUTPUT_TOKENS, "output_tokens")                                                              \
    X(USD, "usd")                                                                                  \
    X(CONCURRENT, "concurrent")

enum ration_unit {
#define RATION_UNIT_ENUM(upper, name) RATION_UNIT_##upper,
    RATION_UNITS(RATION_UNIT_ENUM)
#undef RATION_UNIT_ENUM
        RATION_UNIT_COUNT
};

/* ---- Size limits: the one table of what a peer may send -----------------------------------------
 *
 * Beyond any of these the peer gets an error that names the limit; beyond the first three, the
 * connection is closed after the error, since nobody meant such a request.
 */
/* clang-format off */
#define RATION_MAX_REQUEST_BYTES 16384          /* one command, all of its arguments and framing */
#define RATION_MAX_ARGS          64             /* arguments of one command */
#define RATION_MAX_INLINE_BYTES  4096           /* one line typed by hand (telnet, nc) */
#define RATION_MAX_PIPELINE      4096           /* commands of one connection at once; more wait */
#define RATION_MAX_OUTPUT_BYTES  1048576        /* unread replies; beyond, the connection closes */
#define RATION_MAX_POOL_BYTES    128            /* a pool's name */
#define RATION_MAX_TENANT_BYTES  128            /* a tenant's name */
#define RATION_MAX_TIER_BYTES    64             /* a tier's name */
#define RATION_MAX_DOMAIN_BYTES  32             /* a domain's name: letters, digits, - and _ */
#define RATION_MAX_FREE_ID_BYTES 128            /* an id that the caller made up */
#define RATION_MAX_ID_BYTES      384            /* any id, with the terminating NUL */
#define RATION_MAX_SECRET_BYTES  256            /* a credential */
#define RATION_MAX_COST          1000000000000  /* of one unit in a call; usd: a million dollars */
#define RATION_MAX_AMOUNT        10000000000000 /* of a limit: 10^13 */
#define RATION_MAX_LIMITS        16             /* of a pool, tier, tenant, or tenant in a pool */
#define RATION_MIN_TTL_MS        100            /* of a reservation */
#define RATION_MAX_TTL_MS        3600000        /* one hour; a longer call renews */
#define RATION_DEFAULT_TTL_MS    60000
#define RATION_MAX_WAIT_MS       600000         /* of WAIT */
#define RATION_MAX_REASON_BYTES  64             /* why a pool is closed: printable, no space */
#define RATION_MAX_PROVIDER_LIMITS          6              /* REMAINING of one report */
#define RATION_PRIORITIES        3              /* 0 real time, 1 standard, 2 background */
/* clang-format on */

/* Names of pools and tenants are printable ASCII without space, quotes, backslash and braces; a
 * pool has no '@', so that the last '@' of an id separates the two. */
#define RATION_NAME_FORBIDDEN " \"'\\{}"

/* ---- Ids ----------------------------------------------------------------------------------------
 *
 * Canonical:  r1.<slice>.<nonce>.<member>.<tenant>@<pool>
 *
 *     slice    1-24 of [a-z0-9]: the hash in the store that holds the reservation. Whoever makes
 *              ids puts up to a hundred of them, made within a few seconds of each other, into one
 *              slice, and never reuses a slice.
 *     nonce    16 lower-case hexadecimal digits, 64 random bits: makes the id unguessable
 *     member   0-255, without leading zeros: the place among reservations that were granted as one.
 *              A client that makes its own ids always says 0.
 *
 * A caller may also choose any other id of 1-128 printable ASCII bytes without space (an order
 * number, say) that does not begin with "r1.". It works alike; its report costs the server one more
 * look into the store. Each tenant has such ids of its own. Callers who may act for all tenants add
 * TENANT and a name to REPORT, RENEW and CANCEL if several tenants use the same one.
 *
 * An id is good for one request: while its reservation is outstanding, the same ACQUIRE gets the
 * same answer. With another cost or pool it is an error (ERR), and after the reservation has ended
 * it is NOSUCH.
 */
#define RATION_ID_PREFIX      "r1."
#define RATION_ID_MAX_SLICE   24
#define RATION_ID_NONCE_BYTES 8
#define RATION_ID_MAX_MEMBERS 256

/* ---- Provider feedback: what hosts learn from each other's reports -----------------------------
 *
 *     REPORT id [unit n]... [STATUS http] [RETRY_AFTER ms] [PARTIAL] [FAILED] [EXHAUSTED reason]
 *               [REMAINING unit n [LIMIT n] [PER ms]]... [TENANT name]
 *     CANCEL id [FAILED] [TENANT name]
 *
 *     STATUS 429           pauses the pool for everybody for RETRY_AFTER ms (at most a day), or
 *                          1000 without it; 503 and 529 pause it if they come with one
 *     STATUS 5xx, FAILED   (FAILED: no status came) the call counts as failed for the pool's
 *                          circuit breaker
 *     EXHAUSTED reason     no wait will help: closes the pool until an operator says POOL OPEN
 *                          pool; with a RETRY_AFTER above 0, whatever the status, for that long (at
 *                          most 32 days), after which it opens by itself
 *     REMAINING unit n     what is left of a limit by the provider's headers. PER says which limit
 *                          of the unit it is; without PER, LIMIT does, if only one has that amount;
 *                          without both it is the pool's only one of that unit, or none. Our level
 *                          comes down to theirs, never up; calls in flight are accounted for
 *
 *     ACQUIRE ... LEARNED  input_tokens is the caller's estimate of the prompt, output_tokens the
 *                          maximum for the answer; at least one must be stated. Earlier calls of
 *                          this tenant to this pool decide how much of it is charged: of the input
 *                          a hundredth to eightfold (never below 1, never above RATION_MAX_COST,
 *                          and above what is stated only as far as it fits the limits), of the
 *                          output at most all. tokens change by as much. A report teaches the parts
 *                          that it states, if the call went well: no PARTIAL, no FAILED, no STATUS
 *                          but 2xx
 */

/* ---- Replies ------------------------------------------------------------------------------------
 *
 * Named fields are a map in RESP3 and a flat name, value array in RESP2, always in this order.
 *
 *     ACQUIRE, RENEW    status id retry_after_ms limited_by mode
 *     REPORT, CANCEL    status
 *     POOL              pool state reason until_ms failures reports cool_down_ms
 *     PEEK              an array of rows: scope unit per limit remaining reset_ms [ahead_ms]
 *     AUDIT             an array of rows: pool unit granted reported outstanding expired cancelled
 *                       used scanned balanced
 *     AUDIT ... WAIT    audit percent rows: the id with which AUDIT CONTINUE goes on, on the same
 *                       connection, "" when there is no more; how much is done; and, once all is,
 *                       some of the rows
 *     TENANT FORGIVE    an array of rows, one for each limit that was below zero: scope unit per
 *                       forgiven
 */
#define RATION_FIELD_STATUS         "status"
#define RATION_FIELD_ID             "id"
#define RATION_FIELD_RETRY_AFTER_MS "retry_after_ms" /* 0 when granted, -1: never */
#define RATION_FIELD_LIMITED_BY     "limited_by"     /* "" or "pool:openai/gpt-4o tokens/minute" */
#define RATION_FIELD_MODE           "mode"
#define RATION_FIELD_AUDIT          "audit"
#define RATION_FIELD_PERCENT        "percent"
#define RATION_FIELD_ROWS           "rows"

#define RATION_STATUS_GRANTED   "granted"
#define RATION_STATUS_DENIED    "denied"
#define RATION_STATUS_SETTLED   "settled"   /* the report was charged */
#define RATION_STATUS_LATE      "late"      /* charged, after the reservation had expired */
#define RATION_STATUS_DUPLICATE "duplicate" /* reported before; nothing was changed */

/* If not a limit but the pool's state refuses an acquire, limited_by has it after the pool:
 * "pool:openai/gpt-4o paused". */
#define RATION_LIMITED_PAUSED  "paused"  /* the provider said when to come back */
#define RATION_LIMITED_CIRCUIT "circuit" /* calls failed; retry_after_ms: until the next probe */
/* And the reason; retry_after_ms is -1 until an operator says POOL OPEN, or the time until the pool
 * opens by itself. */
#define RATION_LIMITED_CLOSED "closed:"

/* After a tenant: max_outstanding of its reservations already wait for their report. */
#define RATION_LIMITED_OUTSTANDING "outstanding"

/* The state of a pool, in the reply to POOL. until_ms is how long it lasts: 0 for an open pool, -1
 * for one that is closed until an operator opens it. */
#define RATION_POOL_OPEN    "open"
#define RATION_POOL_PAUSED  "paused"
#define RATION_POOL_CIRCUIT "circuit" /* it is open; at until_ms 0 the next acquire is the probe */
#define RATION_POOL_PROBING "probing" /* the probe is out; until_ms: until it would expire */
#define RATION_POOL_CLOSED  "closed"

#define RATION_MODE_EXACT "exact" /* the store decided */
#define RATION_MODE_LEASE "lease"
#define RATION_MODE_LOCAL "local" /* the store was away; the configuration's on_outage decided */

#define RATION_RETRY_NEVER (-1) /* the cost is more than the limit can ever hold */

/* ---- Errors: the first word is stable, the rest is for people -------------------------------- */
#define RATION_ERR_MALFORMED   "ERR"
#define RATION_ERR_NOPOOL      "NOPOOL"
#define RATION_ERR_NOTENANT    "NOTENANT"
#define RATION_ERR_NOSUCH      "NOSUCH"
#define RATION_ERR_NOAUTH      "NOAUTH"
#define RATION_ERR_NOPERM      "NOPERM"
#define RATION_ERR_UNAVAILABLE "UNAVAILABLE"
#define RATION_ERR_BUSY        "BUSY"

#endif
