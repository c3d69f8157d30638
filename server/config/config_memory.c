/*
 * The configuration's memory: one arena, freed as a whole, so that no path through an invalid
 * document can leak, and tables of names.
 *
 * Lookups happen for each request, in any thread: they neither allocate nor write. Names are a
 * pointer and a length, because they point into a request's bytes.
 */
#include "config/config_parts.h"
#include "hash.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/zone.h"

#define BLOCK_BYTES ((size_t)16384)
#define ALIGN       (sizeof(max_align_t))

struct arena_block {
    struct arena_block *next;
    size_t used, cap;
    max_align_t bytes[];
};

struct name_key {
    const char *name;
    size_t n;
};

static void *must(void *memory)
{
    if (memory == NULL) {
        fputs("rationd: out of memory while reading the configuration\n", stderr);
        abort();
    }
    return memory;
}

/* ---- The arena ------------------------------------------------------------------------------- */

void *config_alloc(struct config *config, size_t size)
{
    struct config_tables *tables = config->tables;
    size_t need = (size + ALIGN - 1) / ALIGN * ALIGN;
    struct arena_block *block = tables->blocks;
    if (block == NULL || block->cap - block->used < need) {
        size_t cap = need > BLOCK_BYTES ? need : BLOCK_BYTES;
        block = must(calloc(1, sizeof *block + cap));
        block->cap = cap;
        block->next = tables->blocks;
        tables->blocks = block;
    }
    void *memory = (char *)block->bytes + block->used;
    block->used += need;
    return memory;
}

char *config_copy(struct config *config, const char *text, size_t n)
{
    char *copy = config_alloc(config, n + 1);
    memcpy(copy, text, n);
    return copy;
}

char *config_format(struct config *config, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    size_t cap = n > 0 ? (size_t)n + 1 : 1;
    char *text = config_alloc(config, cap);
    va_start(args, format);
    vsnprintf(text, cap, format, args);
    va_end(args);
    return text;
}

/* ---- Tables ---------------------------------------------------------------------------------- */

/* Only the document's author chooses the names, so nobody gains from collisions. */
static unsigned long hash_name(const void *k)
{
    const struct name_key *key = k;
    uint64_t hash = hash_bytes(key->name, key->n);
    return (unsigned long)(hash ^ (hash >> 32));
}

static int same_name(const void *a, const void *b)
{
    const struct name_key *left = a;
    const struct name_key *right = b;
    return left->n == right->n && memcmp(left->name, right->name, left->n) == 0;
}

void config_table_init(struct config *config, struct config_table *table, size_t cap)
{
    table->items = config_alloc(config, cap * sizeof *table->items);
    table->cap = cap;
    table->by_name = must(lh_table_new(16, NULL, hash_name, same_name));
}

void config_table_add(struct config *config, struct config_table *table, const char *name,
                      void *item)
{
    if (table->n == table->cap)
        return;
    struct name_key *key = config_alloc(config, sizeof *key);
    *key = (struct name_key){.name = name, .n = strlen(name)};
    if (lh_table_insert(table->by_name, key, item) != 0)
        must(NULL);
    table->items[table->n++] = item;
}

void *config_table_find(const struct config_table *table, const char *name, size_t n)
{
    struct name_key key = {.name = name, .n = n};
    void *item = NULL;
    if (table->by_name == NULL || !lh_table_lookup_ex(table->by_name, &key, &item))
        return NULL;
    return item;
}

const struct zone *config_zone_find(struct config *config, const char *name)
{
    for (struct config_zone *known = config->tables->zones; known != NULL; known = known->next)
        if (strcmp(zone_name(known->zone), name) == 0)
            return known->zone;
    struct zone *zone = zone_new(name);
    if (zone == NULL)
        return NULL;
    struct config_zone *entry = config_alloc(config, sizeof *entry);
    *entry = (struct config_zone){.zone = zone, .next = config->tables->zones};
    config->tables->zones = entry;
    return zone;
}

/* ---- The whole ------------------------------------------------------------------------------- */

struct config *config_new(void)
{
    struct config *config = must(calloc(1, sizeof *config));
    config->tables = must(calloc(1, sizeof *config->tables));
    config->refs = 1;
    return config;
}

static void free_table(struct config_table *table)
{
    if (table->by_name != NULL)
        lh_table_free(table->by_name);
}

static void config_free(struct config *config)
{
    struct config_tables *tables = config->tables;
    free_table(&tables->pools);
    free_table(&tables->tiers);
    free_table(&tables->tenants);
    for (struct config_zone *entry = tables->zones; entry != NULL; entry = entry->next)
        zone_free(entry->zone);
    while (tables->blocks != NULL) {
        struct arena_block *block = tables->blocks;
        tables->blocks = block->next;
        explicit_bzero(block->bytes, block->cap);
        free(block);
    }
    free(tables);
    free(config);
}

struct config *config_ref(struct config *config)
{
    __atomic_add_fetch(&config->refs, 1, __ATOMIC_RELAXED);
    return config;
}

void config_unref(struct config *config)
{
    if (config != NULL && __atomic_sub_fetch(&config->refs, 1, __ATOMIC_ACQ_REL) == 0)
        config_free(config);
}
