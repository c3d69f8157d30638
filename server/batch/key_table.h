/*
 * The keys of one call to the script (KEYS), in the order in which they are added. Operations that
 * share a key share its number.
 *
 *     bool is_new;
 *     size_t i = key_table_find(&table, KEYED_SLICES, key, n, &is_new);    number in its section
 *     key_table_add(&table, key, n);                                       never looked up
 *     key_table_finish(&table);                                            table.keys, .bytes, .n
 */
#ifndef RATIOND_KEY_TABLE_H
#define RATIOND_KEY_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

enum { KEY_TABLE_MOST = 2048 }; /* keys */

/* The script numbers the keys of each section from 0. */
enum key_section { KEYED_BUCKETS, KEYED_ESTIMATES, KEYED_SLICES, KEY_SECTIONS };

struct key_table {
    struct buf text; /* the text of all keys; `failed` if there was no memory */
    size_t n;
    const char *keys[KEY_TABLE_MOST]; /* made by key_table_finish() */
    size_t bytes[KEY_TABLE_MOST];
    size_t at[KEY_TABLE_MOST]; /* offsets into text */
    uint64_t hash[KEY_TABLE_MOST];
    uint16_t number[KEY_TABLE_MOST]; /* in its section */
    uint16_t section_n[KEY_SECTIONS];
    uint16_t places[2 * KEY_TABLE_MOST]; /* open addressing: a key's index + 1; 0: empty */
};

void key_table_init(struct key_table *table);
void key_table_close(struct key_table *table);
/* Forgets all keys but keeps the storage. */
void key_table_clear(struct key_table *table);

/* Returns the key's number in its section; adds the key if it is new. */
size_t key_table_find(struct key_table *table, enum key_section section, const char *key, size_t n,
                      bool *is_new);
void key_table_add(struct key_table *table, const char *key, size_t n);
void key_table_finish(struct key_table *table);

/* The number of keys found in a section. */
static inline size_t key_table_count(const struct key_table *table, enum key_section section)
{
    return table->section_n[section];
}

#endif
