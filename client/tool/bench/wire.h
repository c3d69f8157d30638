/*
 * What `ration bench` sends and receives: requests put together from parts that were formatted
 * once, and replies scanned in place.
 *
 * The library's code is made for one call at a time, and hiredis' redisReader for any reply: it
 * makes an object of every element, eleven allocations a decision, which on a shared machine would
 * be measured as if they were the server's. Here a reply is read once, and two things are picked
 * out of it.
 */
#ifndef RATION_TOOL_BENCH_WIRE_H
#define RATION_TOOL_BENCH_WIRE_H

#include <ration/ration.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_REQUEST_BYTES 640      /* of the largest request that is written here */
#define BENCH_REPLY_BYTES   2048     /* of a reply; a decision has some 600, an error less */
#define BENCH_MAX_TENANTS   10000000 /* t0000000 to t9999999 */

/* The parts of a request that stay the same. */
struct bench_forms {
    char acquire[256]; /* up to the tenant's name */
    size_t n_acquire;
    char tenant[160]; /* the only tenant's name; empty if they are made from numbers */
    size_t n_tenant;
    char amounts[96]; /* what follows the name */
    size_t n_amounts;
    char used[64]; /* what follows the id of a REPORT */
    size_t n_used;
};

/* tenant NULL: names are made from numbers. ttl_ms 0: the server's. False: pool or tenant is empty
 * or too long. */
bool bench_forms_init(struct bench_forms *forms, const char *pool, const char *tenant,
                      int64_t tokens, int64_t used, int64_t ttl_ms);

/* All three write at most BENCH_REQUEST_BYTES and give how many. */
size_t bench_write_acquire(const struct bench_forms *forms, uint32_t tenant, char *to);
size_t bench_write_report(const struct bench_forms *forms, const char *id, size_t n_id, char *to);
/* `user` NULL: the server's default one. */
size_t bench_write_auth(const char *user, const char *secret, char *to);

/* "t0000000"; size >= 16 */
void bench_tenant_name(uint32_t tenant, char *out, size_t size);

enum bench_answer {
    BENCH_GRANTED,
    BENCH_DENIED,
    BENCH_SETTLED, /* or late: the report counts */
    BENCH_OK,      /* +OK */
    BENCH_ERROR,   /* an error reply; text has its words */
    BENCH_STRANGE, /* any other reply */
};

struct bench_reply {
    enum bench_answer answer;
    const char *text; /* a grant's id or an error's words; borrows from the scanned bytes */
    size_t n_text;
};

/* The length of the reply that begins at `data`; 0: incomplete; -1: not a rationd's reply. */
int bench_scan_reply(const char *data, size_t n, struct bench_reply *out);

#endif
