/*
 * Fuzz target: a connection's bytes, through the parser, the command table and every command, up to
 * the replies. Behind them is a batcher that grants everything.
 *
 * The first byte says into how many pieces the rest is cut. Whatever was asked, what reaches the
 * batcher is within its ranges; each request gets one reply, in pieces or whole; and a connection
 * that ends leaves nothing behind.
 */
#include "fuzz.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "batch/audit.h"
#include "batch/batch.h"
#include "clock.h"
#include "command/command.h"
#include "config/config.h"
#include "net/front_inner.h"
#include "log.h"
#include "store/store.h"

#define MAX_WAITING 4096
#define MAX_TURNS   1000

static const char documents[2][600] = {
    "{\"listen\": {\"resp\": \"127.0.0.1:0\", \"http\": null},"
    " \"pools\": {\"p\": {\"limits\": [{\"unit\": \"requests\", \"amount\": 10, \"per\": "
    "\"minute\"}]}},"
    " \"tiers\": {\"t\": {\"priority\": 1, \"limits\": [{\"unit\": \"tokens\", \"amount\": 9,"
    "   \"per\": \"minute\"}]}}, \"tenants\": {\"acme\": {\"tier\": \"t\"}}, \"default_tier\": "
    "\"t\"}",
    "{\"listen\": {\"resp\": \"127.0.0.1:0\", \"http\": null},"
    " \"pools\": {\"p\": {\"limits\": [{\"unit\": \"requests\", \"amount\": 10, \"per\": "
    "\"minute\"}]}},"
    " \"tiers\": {\"t\": {\"limits\": [{\"unit\": \"tokens\", \"amount\": 9, \"per\": "
    "\"minute\"}]}},"
    " \"tenants\": {\"acme\": {\"tier\": \"t\", \"secret\": {\"env\": \"RATION_FUZZ_SECRET\"}}},"
    " \"auth\": {\"operator\": {\"env\": \"RATION_FUZZ_OPERATOR\"}}}",
};

static struct op *waiting[MAX_WAITING];
static size_t n_waiting;
static struct {
    audit_done_fn *done;
    void *arg;
} audits[MAX_WAITING];
static size_t n_audits;
static uint64_t asked; /* a hash of all operations */
static struct batch_counters counters;

/* ---- Behind the front ------------------------------------------------------------------------ */

static void check_op(const struct op *op)
{
    CHECK(op->kind >= OP_ACQUIRE && op->kind <= OP_FORGIVE);
    CHECK(op->config != NULL);
    /* The batcher asks the store whose id it is if the caller chose the id. */
    if (op->kind == OP_ACQUIRE || op->kind >= OP_PEEK || !op->id.free_form)
        CHECK(op->policy.pool != NULL && op->policy.n >= 1 && op->policy.n <= POLICY_MAX_BUCKETS);
    CHECK(op->priority < RATION_PRIORITIES);
    for (int unit = 0; unit < RATION_UNIT_COUNT; unit++)
        CHECK(op->amounts[unit] >= 0 && op->amounts[unit] <= RATION_MAX_COST);
    if (op->kind == OP_ACQUIRE || op->kind == OP_RENEW)
        CHECK(op->ttl_ms >= RATION_MIN_TTL_MS && op->ttl_ms <= RATION_MAX_TTL_MS);
    CHECK(op->feedback.n_headers <= RATION_MAX_PROVIDER_LIMITS);
    for (size_t i = 0; i < op->feedback.n_headers; i++) {
        const struct op_header *seen = &op->feedback.headers[i];
        CHECK(seen->unit < RATION_UNIT_CONCURRENT);
        CHECK(seen->remaining >= 0 && seen->remaining <= RATION_MAX_AMOUNT);
        CHECK(seen->limit >= 0 && seen->limit <= RATION_MAX_AMOUNT);
        CHECK(seen->per_ms >= 0 && seen->per_ms <= RATION_MAX_AMOUNT);
    }
    for (const char *s = op->reason; *s; s++)
        CHECK(*s > ' ' && *s <= '~' && s - op->reason < RATION_MAX_REASON_BYTES);
}

void batch_submit(struct batcher *batcher, struct op *op)
{
    (void)batcher;
    check_op(op);
    asked = fuzz_mix(asked, &op->kind, sizeof(op->kind));
    asked = fuzz_mix(asked, op->amounts, sizeof(op->amounts));
    CHECK(n_waiting < MAX_WAITING);
    waiting[n_waiting++] = op;
}

size_t batch_load(const struct batcher *batcher)
{
    (void)batcher;
    return n_waiting;
}

const struct batch_counters *batch_counters(const struct batcher *batcher)
{
    (void)batcher;
    return &counters;
}

const char *store_trouble(const struct store *store)
{
    (void)store;
    return "";
}

const char *store_warning(const struct store *store)
{
    (void)store;
    return "";
}

struct audit *audit_run(struct event_base *base, struct store *store, struct config *config,
                        const struct config_pool *pool, audit_done_fn *done, void *arg)
{
    (void)base, (void)store, (void)config, (void)pool;
    CHECK(n_audits < MAX_WAITING);
    audits[n_audits].done = done;
    audits[n_audits++].arg = arg;
    return (struct audit *)&audits; /* never looked into */
}

void audit_end(struct audit *audit)
{
    (void)audit;
    CHECK(false); /* each has ended in the turn in which it began */
}

int audit_percent(const struct audit *audit)
{
    (void)audit;
    return 50;
}

static void answer(struct op *op)
{
    struct op_row rows[16] = {{1, 2, 0}};
    switch (op->kind) {
    case OP_ACQUIRE:
    case OP_RENEW:
        op->outcome = OP_GRANTED;
        break;
    case OP_REPORT:
    case OP_CANCEL:
        op->outcome = OP_SETTLED;
        break;
    case OP_PEEK:
        op->outcome = OP_PEEKED;
        op->rows = rows;
        break;
    case OP_FORGIVE:
        op->outcome = OP_FORGIVEN;
        op->rows = rows;
        break;
    default:
        op->outcome = OP_SHOWN;
        break;
    }
    op->done(op);
}

/* ---- A connection ---------------------------------------------------------------------------- */

struct replies {
    char *bytes;
    size_t n, cap;
    bool closed;
};

static struct worker *worker_of(unsigned which)
{
    static struct worker list[2];
    static struct workers all[2];
    static char fake;
    struct worker *worker = &list[which];
    struct config_problems problems;
    struct config *config;
    if (worker->front)
        return worker;
    log_set_level(LOG_LEVEL_ERROR);
    setenv("RATION_FUZZ_SECRET", "s3cret-s3cret-s3cret", 1);
    setenv("RATION_FUZZ_OPERATOR", "0perator-0perator-0perator", 1);
    CHECK(config_parse("fuzz", documents[which], strlen(documents[which]), &config, &problems) ==
          0);
    worker->base = event_base_new();
    all[which] = (struct workers){.n = 1, .list = worker, .started_ms = clock_ms()};
    worker->all = &all[which];
    worker_config_set(worker, config);
    worker->store = (struct store *)(void *)&fake;
    worker->front = front_new(worker, NULL, 0, command_run);
    CHECK(worker->front != NULL);
    return worker;
}

static void receive(int fd, struct replies *replies)
{
    for (;;) {
        if (replies->cap - replies->n < 65536) {
            replies->cap = replies->cap * 2 + 65536;
            replies->bytes = realloc(replies->bytes, replies->cap);
            CHECK(replies->bytes != NULL);
        }
        ssize_t n = recv(fd, replies->bytes + replies->n, replies->cap - replies->n, MSG_DONTWAIT);
        if (n <= 0) {
            replies->closed = n == 0 || (errno != EAGAIN && errno != EINTR);
            return;
        }
        replies->n += (size_t)n;
    }
}

static void turn(struct worker *worker, int fd, struct replies *replies)
{
    event_base_loop(worker->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    /* In another order than that of the requests. */
    while (n_audits > 0) {
        n_audits--;
        audits[n_audits].done(audits[n_audits].arg, NULL, 0, "no ledger here");
    }
    while (n_waiting > 0)
        answer(waiting[--n_waiting]);
    receive(fd, replies);
}

/* Sends the bytes in pieces, shuts down the sending side, and reads until the server closes. */
static struct replies talk(struct worker *worker, const char *bytes, size_t n, size_t piece)
{
    struct replies replies = {0};
    struct sockaddr peer = {.sa_family = AF_UNIX};
    int pair[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
    CHECK(conn_new(worker->front, pair[0], &peer) != NULL);
    asked = FUZZ_HASH;
    for (size_t from = 0; from < n && !replies.closed; from += piece) {
        size_t more = n - from < piece ? n - from : piece;
        ssize_t sent = send(pair[1], bytes + from, more, MSG_NOSIGNAL);
        CHECK(sent == (ssize_t)more || sent < 0);
        turn(worker, pair[1], &replies);
    }
    shutdown(pair[1], SHUT_WR);
    for (int i = 0; !replies.closed; i++) {
        CHECK(i < MAX_TURNS);
        turn(worker, pair[1], &replies);
    }
    close(pair[1]);
    for (int i = 0; worker->connections > 0 || n_waiting > 0; i++) {
        CHECK(i < MAX_TURNS);
        turn(worker, pair[1], &replies);
    }
    CHECK(worker->front->n_requests == 0);
    return replies;
}

/* How many replies these bytes should get, according to the parser alone. *certain: no command
 * among them ends the connection. */
static size_t count_requests(const char *bytes, size_t n, bool *certain)
{
    char *data = fuzz_copy(bytes, n);
    size_t count = 0;
    *certain = true;
    struct resp_parser parser;
    resp_parser_reset(&parser);
    for (size_t at = 0; at < n;) {
        const char *error = NULL;
        struct arg args[RATION_MAX_ARGS];
        size_t used = 0;
        enum resp_result result = resp_parse(&parser, data + at, n - at, &used, &error);
        if (result == RESP_MORE)
            break;
        count += result != RESP_REQUEST || parser.argc > 0;
        if (result == RESP_BROKEN)
            break;
        if (result == RESP_REQUEST && parser.argc > 0 && resp_args(&parser, data + at, args) > 0 &&
            args[0].n == 4 && strncasecmp(args[0].p, "quit", 4) == 0)
            *certain = false;
        resp_parser_reset(&parser);
        at += used;
    }
    free(data);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct worker *worker = worker_of(data[0] & 1);
    const char *bytes = (const char *)data + 1;
    size_t n = size - 1;
    size_t pieces = 1 + data[0] / 2 % 16;
    bool certain = false;
    size_t wanted = count_requests(bytes, n, &certain);

    struct replies whole = talk(worker, bytes, n, n);
    uint64_t asked_whole = asked;
    struct replies split = talk(worker, bytes, n, (n - 1) / pieces + 1);
    size_t got = fuzz_count_replies(whole.bytes, whole.n);
    CHECK(got == wanted || (!certain && got < wanted));
    CHECK(fuzz_count_replies(split.bytes, split.n) == got);
    CHECK(asked == asked_whole);
    free(whole.bytes);
    free(split.bytes);
    return 0;
}
