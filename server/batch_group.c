/*
 * Forming a batch: equal acquires of one tenant become one group, which the script decides in one step and keeps under one
 * record. On a hot tenant this is what makes a hundred decisions cost little more than one.
 */
#include "batch_pack.h"

#include <assert.h>
#include <string.h>

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
    uint64_t hash = batch_check(op->id.tenant, op->id.tenant_bytes, op->id.pool, op->id.pool_bytes);
    for (int unit = 0; unit < RATION_UNIT_COUNT; unit++)
        hash = (hash ^ (uint64_t)op->amounts[unit]) * 0x9e3779b97f4a7c15ULL;
    return hash;
}

void batch_form(struct batch *batch, const char *domain, struct op *const ops[], size_t n)
{
    /* next[i]: the next operation that asks what operation i asks, from 1; 0: none */
    uint16_t last_of[512] = {0}, next[BATCH_MAX_OPS] = {0}, count[BATCH_MAX_OPS],
             leader[BATCH_MAX_OPS];
    assert(n <= BATCH_MAX_OPS);
    for (size_t i = 0; i < n; i++) {
        leader[i] = (uint16_t)i;
        count[i] = 1;
        if (!may_group(ops[i]))
            continue;
        size_t at = question_hash(ops[i]) >> 55;
        for (; last_of[at]; at = (at + 1) % 512)
            if (same_question(ops[leader[last_of[at] - 1]], ops[i]))
                break;
        if (last_of[at] && count[leader[last_of[at] - 1]] < RATION_ID_MAX_MEMBERS - 1) {
            leader[i] = leader[last_of[at] - 1];
            next[last_of[at] - 1] = (uint16_t)(i + 1);
            count[leader[i]]++;
        }
        last_of[at] = (uint16_t)(i + 1);
    }
    batch->domain = domain;
    batch->again = false;
    batch->n = batch->n_groups = 0;
    for (size_t i = 0; i < n; i++) {
        if (leader[i] != i)
            continue;
        struct batch_group *group = &batch->groups[batch->n_groups++];
        group->first = (uint16_t)batch->n;
        group->n = count[i];
        uint8_t member = 0;
        for (size_t j = i + 1; j; j = next[j - 1]) {
            struct op *op = ops[j - 1];
            if (member > 0) {
                /* Granted as one: the members share the leader's record. */
                memcpy(op->id.nonce, ops[i]->id.nonce, sizeof op->id.nonce);
                memcpy(op->id.slice, ops[i]->id.slice, sizeof op->id.slice);
                op->id.slice_bytes = ops[i]->id.slice_bytes;
                op->id.member = member;
            }
            member++;
            batch->ops[batch->n++] = op;
        }
    }
}
