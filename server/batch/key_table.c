/* Keys by their text: hashes tell most of them apart, and the text decides. */
#include "batch/key_table.h"

#include <assert.h>

#include "hash.h"

enum { MOST_BYTES = 16 << 20, PLACES = 2 * KEY_TABLE_MOST };

void key_table_init(struct key_table *table)
{
    buf_init(&table->text, MOST_BYTES, NULL);
    key_table_clear(table);
}

void key_table_close(struct key_table *table)
{
    buf_close(&table->text);
}

void key_table_clear(struct key_table *table)
{
    buf_clear(&table->text);
    table->n = 0;
    memset(table->section_n, 0, sizeof table->section_n);
    memset(table->places, 0, sizeof table->places);
}

void key_table_add(struct key_table *table, const char *key, size_t n)
{
    assert(table->n < KEY_TABLE_MOST);
    table->at[table->n] = buf_size(&table->text);
    table->bytes[table->n] = n;
    buf_append(&table->text, key, n);
    table->n++;
}

static bool is_same(const struct key_table *table, size_t i, uint64_t hash, const char *key,
                    size_t n)
{
    return table->hash[i] == hash && table->bytes[i] == n && !table->text.failed &&
           memcmp(buf_bytes(&table->text) + table->at[i], key, n) == 0;
}

size_t key_table_find(struct key_table *table, enum key_section section, const char *key, size_t n,
                      bool *is_new)
{
    uint64_t hash = hash_bytes(key, n);
    size_t place = hash % PLACES;
    for (; table->places[place] != 0; place = (place + 1) % PLACES) {
        size_t i = table->places[place] - 1u;
        if (is_same(table, i, hash, key, n)) {
            *is_new = false;
            return table->number[i];
        }
    }
    *is_new = true;
    table->places[place] = (uint16_t)(table->n + 1);
    table->hash[table->n] = hash;
    table->number[table->n] = table->section_n[section]++;
    key_table_add(table, key, n);
    return table->number[table->n - 1];
}

void key_table_finish(struct key_table *table)
{
    for (size_t i = 0; i < table->n; i++)
        table->keys[i] = buf_bytes(&table->text) + table->at[i];
}
