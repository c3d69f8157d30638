/*
 * Scanning: a reply is one element, or a flat array of them (a decision in RESP2). An incomplete
 * one is scanned again when more has arrived, which is cheap because replies are short: whatever is
 * longer than BENCH_REPLY_BYTES, nested, or not RESP ends the connection.
 */
#include "tool/bench/wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- Requests ---- */

static int bulk(char *to, size_t size, const char *text)
{
    return snprintf(to, size, "$%zu\r\n%s\r\n", strlen(text), text);
}

static int named(char *to, size_t size, const char *name, int64_t value)
{
    char digits[24];
    snprintf(digits, sizeof(digits), "%" PRId64, value);
    return snprintf(to, size, "$%zu\r\n%s\r\n$%zu\r\n%s\r\n", strlen(name), name, strlen(digits),
                    digits);
}

bool bench_forms_init(struct bench_forms *forms, const char *pool, const char *tenant,
                      int64_t tokens, int64_t used, int64_t ttl_ms)
{
    size_t n_pool = strlen(pool);
    if (n_pool < 1 || n_pool > RATION_MAX_POOL_BYTES ||
        (tenant && (!tenant[0] || strlen(tenant) > RATION_MAX_TENANT_BYTES)))
        return false;
    memset(forms, 0, sizeof(*forms));
    int n = snprintf(forms->acquire, sizeof(forms->acquire), "*%d\r\n$7\r\nACQUIRE\r\n",
                     ttl_ms > 0 ? 7 : 5);
    n += bulk(forms->acquire + n, sizeof(forms->acquire) - (size_t)n, pool);
    forms->n_acquire = (size_t)n;
    if (tenant)
        forms->n_tenant = (size_t)bulk(forms->tenant, sizeof(forms->tenant), tenant);
    n = named(forms->amounts, sizeof(forms->amounts), "tokens", tokens);
    if (ttl_ms > 0)
        n += named(forms->amounts + n, sizeof(forms->amounts) - (size_t)n, "TTL", ttl_ms);
    forms->n_amounts = (size_t)n;
    forms->n_used = (size_t)named(forms->used, sizeof(forms->used), "tokens", used);
    return true;
}

/* By hand: snprintf() would be the largest part of writing a request. */
static char *put_digits(char *to, uint32_t value, int width)
{
    for (int i = width - 1; i >= 0; i--, value /= 10)
        to[i] = (char)('0' + value % 10);
    return to + width;
}

static char *put(char *to, const char *bytes, size_t n)
{
    memcpy(to, bytes, n);
    return to + n;
}

void bench_tenant_name(uint32_t tenant, char *out, size_t size)
{
    snprintf(out, size, "t%07" PRIu32, tenant % BENCH_MAX_TENANTS);
}

size_t bench_write_acquire(const struct bench_forms *forms, uint32_t tenant, char *to)
{
    char *p = put(to, forms->acquire, forms->n_acquire);
    if (forms->n_tenant > 0) {
        p = put(p, forms->tenant, forms->n_tenant);
    } else {
        p = put(p, "$8\r\nt", 5);
        p = put_digits(p, tenant, 7);
        p = put(p, "\r\n", 2);
    }
    p = put(p, forms->amounts, forms->n_amounts);
    return (size_t)(p - to);
}

size_t bench_write_report(const struct bench_forms *forms, const char *id, size_t n_id, char *to)
{
    static const char head[] = "*4\r\n$6\r\nREPORT\r\n$";
    char *p = put(to, head, sizeof(head) - 1);
    int width = n_id >= 100 ? 3 : n_id >= 10 ? 2 : 1;
    p = put_digits(p, (uint32_t)n_id, width);
    p = put(p, "\r\n", 2);
    p = put(p, id, n_id);
    p = put(p, "\r\n", 2);
    p = put(p, forms->used, forms->n_used);
    return (size_t)(p - to);
}

size_t bench_write_auth(const char *user, const char *secret, char *to)
{
    int n = snprintf(to, BENCH_REQUEST_BYTES, "*%d\r\n$4\r\nAUTH\r\n", user ? 3 : 2);
    if (user)
        n += bulk(to + n, BENCH_REQUEST_BYTES - (size_t)n, user);
    n += bulk(to + n, BENCH_REQUEST_BYTES - (size_t)n, secret);
    return (size_t)n;
}

/* ---- Replies ---- */

struct element {
    char kind;
    const char *text; /* of + - $ */
    size_t n;
    int64_t number; /* of : and *, and the length of $ */
};

/* The end of the line that begins at p: behind its "\r\n"; NULL: not there yet. */
static const char *line_end(const char *p, const char *end)
{
    const char *nl = memchr(p, '\n', (size_t)(end - p));
    return nl && nl > p && nl[-1] == '\r' ? nl + 1 : NULL;
}

/* The number that fills a line; false: not a number. */
static bool read_number(const char *p, const char *end, int64_t *out)
{
    bool negative = p < end && *p == '-';
    int64_t value = 0;
    p += negative;
    if (p == end || end - p > 18)
        return false;
    for (; p < end; p++) {
        if (*p < '0' || *p > '9')
            return false;
        value = value * 10 + (*p - '0');
    }
    *out = negative ? -value : value;
    return true;
}

/* One element at *at. Gives what bench_scan_reply() does, but 1 if it is whole, and moves *at
 * behind it. */
static int scan_element(const char **at, const char *end, struct element *e)
{
    const char *p = *at;
    if (p == end)
        return 0;
    const char *next = line_end(p + 1, end);
    if (!next)
        return 0;
    *e = (struct element){.kind = *p, .text = p + 1, .n = (size_t)(next - p) - 3};
    if (*p == '+' || *p == '-') {
        *at = next;
        return 1;
    }
    if ((*p != ':' && *p != '$' && *p != '*') || !read_number(p + 1, next - 2, &e->number))
        return -1;
    if (*p == '$' && e->number >= 0) {
        if (e->number > BENCH_REPLY_BYTES)
            return -1;
        if (end - next < e->number + 2)
            return 0;
        e->text = next;
        e->n = (size_t)e->number;
        next += e->number + 2;
    }
    *at = next;
    return 1;
}

static bool is(const struct element *e, const char *word)
{
    return e->kind == '$' && e->number >= 0 && e->n == strlen(word) &&
           memcmp(e->text, word, e->n) == 0;
}

static enum bench_answer status_of(const struct element *e)
{
    if (is(e, RATION_STATUS_GRANTED))
        return BENCH_GRANTED;
    if (is(e, RATION_STATUS_DENIED))
        return BENCH_DENIED;
    return is(e, RATION_STATUS_SETTLED) || is(e, RATION_STATUS_LATE) ? BENCH_SETTLED
                                                                     : BENCH_STRANGE;
}

static int scan_array(const char **at, const char *end, int64_t n, struct bench_reply *out)
{
    struct element name = {0};
    struct element value = {0};
    if (n % 2 != 0)
        return -1;
    for (int64_t i = 0; i < n; i += 2) {
        int got = scan_element(at, end, &name);
        if (got == 1)
            got = scan_element(at, end, &value);
        if (got != 1)
            return got;
        if (name.kind == '*' || value.kind == '*')
            return -1;
        if (i == 0 && is(&name, RATION_FIELD_STATUS)) {
            out->answer = status_of(&value);
        } else if (is(&name, RATION_FIELD_ID) && value.kind == '$' && value.number >= 0) {
            out->text = value.text;
            out->n_text = value.n;
        }
    }
    return 1;
}

int bench_scan_reply(const char *data, size_t n, struct bench_reply *out)
{
    const char *at = data;
    const char *end = data + n;
    struct element e = {0};
    *out = (struct bench_reply){.answer = BENCH_STRANGE};
    int got = scan_element(&at, end, &e);
    if (got == 1 && e.kind == '*')
        got = e.number < 0 || e.number > RATION_MAX_ARGS ? -1 : scan_array(&at, end, e.number, out);
    else if (got == 1 && e.kind == '-')
        *out = (struct bench_reply){BENCH_ERROR, e.text, e.n};
    else if (got == 1 && e.kind == '+' && e.n == 2 && memcmp(e.text, "OK", 2) == 0)
        out->answer = BENCH_OK;
    if (got == 0 && n >= BENCH_REPLY_BYTES)
        return -1;
    /* A grant without an id could not be reported. */
    if (got == 1 && out->answer == BENCH_GRANTED &&
        (out->n_text < 1 || out->n_text >= RATION_MAX_ID_BYTES))
        return -1;
    return got == 1 ? (int)(at - data) : got;
}
