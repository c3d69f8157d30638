/*
 * Forming a batch: equal acquires of one tenant become one group, which the script decides in one
 * step and keeps under one record. For a hot tenant, this makes a hundred decisions cost little
 * more than one.
 */
#include "batch/script_wire.h"

#include <assert.h>
#include <string.h>

#include "clock.h"

/* Twice as many as there can be groups, so that a free place is found soon. */
enum { PLACE_BITS = 9, PLACES = 1 << PLACE_BITS };
_Static_assert(PLACES >= 2 * BATCH_MAX_GROUPS, "questions need places");

static bool may_group(const struct op *op)
{
    return op->kind == OP_ACQUIRE && !op->own_id && !op->dry_run;
}

static bool same_question(const struct op *a, const struct op *b)
{
    return a->config == b->config && a->priority == b->priority && a->ttl_ms == b->ttl_ms &&
           a->stated == b->stated && a->learned == b->learned &&
           memcmp(a->amounts, b->amounts, sizeof a->amounts) == 0 &&
           id_is_for(&a->id, b->id.tenant, b->id.tenant_bytes, b->id.pool, b->id.pool_bytes);
}

static uint64_t question_hash(const struct op *op)
{
    uint64_t hash = id_check(&op->id);
    for (int unit = 0; unit < RATION_UNIT_COUNT; unit++)
        hash = (hash ^ (uint64_t)op->amounts[unit]) * 0x9e3779b97f4a7c15ULL;
    return hash;
}

/* Which operations ask the same question, while the groups of a batch are being found. */
struct gathering {
    struct op *const *ops;
    size_t n_groups;
    uint16_t last_of[PLACES]; /* by question: the last operation that asked it, from 1; 0: none */
    uint16_t next[BATCH_MAX_OPS];  /* the next operation that asks the same, from 1; 0: none */
    uint16_t count[BATCH_MAX_OPS]; /* for a leader: how many ask with it */
    uint16_t leader[BATCH_MAX_OPS];
};

static uint16_t *place_of(struct gathering *g, const struct op *op)
{
    size_t at = question_hash(op) >> (64 - PLACE_BITS);
    for (; g->last_of[at]; at = (at + 1) % PLACES)
        if (same_question(g->ops[g->leader[g->last_of[at] - 1]], op))
            break;
    return &g->last_of[at];
}

/* Returns false if it would begin one group too many. */
static bool gather(struct gathering *g, size_t i)
{
    uint16_t *last = may_group(g->ops[i]) ? place_of(g, g->ops[i]) : NULL;
    if (last && *last && g->count[g->leader[*last - 1]] < RATION_ID_MAX_MEMBERS - 1) {
        g->leader[i] = g->leader[*last - 1];
        g->next[*last - 1] = (uint16_t)(i + 1);
        g->count[g->leader[i]]++;
    } else {
        if (g->n_groups == BATCH_MAX_GROUPS)
            return false;
        g->n_groups++;
        g->leader[i] = (uint16_t)i;
        g->count[i] = 1;
    }
    g->next[i] = 0;
    if (last)
        *last = (uint16_t)(i + 1);
    return true;
}

static void put_group(struct batch *batch, const struct gathering *g, size_t leader,
                      struct id_maker *ids)
{
    struct batch_group *group = &batch->groups[batch->n_groups++];
    group->first = (uint16_t)batch->n;
    group->n = g->count[leader];
    struct id *id = &g->ops[leader]->id;
    if ((g->ops[leader]->kind == OP_ACQUIRE || g->ops[leader]->kind == OP_FORGIVE) &&
        !id_is_made(id))
        id_make(ids, clock_ms(), group->n, id);
    uint8_t member = 0;
    for (size_t j = leader + 1; j; j = g->next[j - 1]) {
        struct op *op = g->ops[j - 1];
        if (member > 0) {
            /* Granted as one: the members share the leader's record. */
            memcpy(op->id.nonce, id->nonce, sizeof op->id.nonce);
            memcpy(op->id.slice, id->slice, sizeof op->id.slice);
            op->id.slice_bytes = id->slice_bytes;
            op->id.member = member;
        }
        member++;
        batch->ops[batch->n++] = op;
    }
}

size_t batch_form(struct batch *batch, const char *domain, struct op *const ops[], size_t n,
                  struct id_maker *ids)
{
    struct gathering g;
    assert(n <= BATCH_MAX_OPS);
    g.ops = ops;
    g.n_groups = 0;
    memset(g.last_of, 0, sizeof g.last_of);
    size_t taken = 0;
    while (taken < n && gather(&g, taken))
        taken++;
    batch->domain = domain;
    batch->resent = false;
    batch->n = batch->n_groups = 0;
    for (size_t i = 0; i < taken; i++)
        if (g.leader[i] == i)
            put_group(batch, &g, i, ids);
    batch->from = 0;
    batch->to = batch->n_groups;
    batch->n_ahead = 0;
    return taken;
}
