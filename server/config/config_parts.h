/*
 * What the files that read the configuration share; nobody else includes this.
 *
 *     config_text.c      bytes -> JSON, or where the syntax is wrong
 *     config_setting.c   the table of settings, and reading single values by it
 *     config_limit.c     lists of limits, presets
 *     config_address.c   addresses, the store's URL
 *     config_secret.c    credentials from files and the environment
 *     config_build.c     pools, tiers, tenants, and the document as a whole
 *     config_problem.c   paths, messages, "did you mean"
 *     config_memory.c    the configuration's memory and its tables of names
 *     config.c           what the rest of the server calls
 *
 * A problem never stops reading: it is noted and replaced by a harmless value, so that one run
 * finds everything. If there was any problem, the result is thrown away.
 */
#ifndef RATIOND_CONFIG_PARTS_H
#define RATIOND_CONFIG_PARTS_H

#include <json-c/json.h>

#include "config/config.h"

/* ---- Memory ---------------------------------------------------------------------------------- */

struct arena_block;
struct lh_table;

/* Items by name, in the document's order. */
struct config_table {
    struct lh_table *by_name;
    void **items; /* n of them, cap were reserved */
    size_t n, cap;
};

struct config_zone {
    struct zone *zone;
    struct config_zone *next;
};

struct config_tables {
    struct config_table pools, tiers, tenants;
    struct config_zone *zones;
    /* everything that the configuration points to; wiped when freed, because of the secrets */
    struct arena_block *blocks;
};

/* Gives an empty configuration with one reference. Running out of memory aborts, here and below. */
struct config *config_new(void);
/* Zeroed memory that lives as long as the configuration. */
void *config_alloc(struct config *config, size_t size);
char *config_copy(struct config *config, const char *text, size_t n);
char *config_format(struct config *config, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void config_table_init(struct config *config, struct config_table *table, size_t cap);
/* name must live as long as the configuration, and must not be in the table. */
void config_table_add(struct config *config, struct config_table *table, const char *name,
                      void *item);
void *config_table_find(const struct config_table *table, const char *name, size_t n);
/* The zone of that name, read once per configuration; NULL: there is none. */
const struct zone *config_zone_find(struct config *config, const char *name);

/* ---- Problems -------------------------------------------------------------------------------- */

/* A place in the document: a key or an index in `up`. NULL is the document itself. */
struct config_place {
    const struct config_place *up;
    const char *key; /* NULL: it is an index */
    size_t index;
};

#define CONFIG_MAX_PROBLEMS 200

/* Adds the line "path: message". */
void config_problem(struct config_problems *problems, const struct config_place *at,
                    const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Formats a value for a message: in quotes, outside bytes escaped, cut if long. Returns buf. */
#define CONFIG_QUOTED_BYTES 96
const char *config_quote(char buf[CONFIG_QUOTED_BYTES], const char *text, size_t n);

/* Collects names for a message: the one closest to `found`, and a list of the first ones. */
struct config_names {
    const char *found;
    const char *best; /* NULL: nothing is close */
    size_t best_distance;
    size_t n;
    char list[256]; /* "free, pro, enterprise" */
};
void config_names_add(struct config_names *names, const char *candidate);
/* "an object", "a string", ... */
const char *config_kind(struct json_object *value);

/* ---- Text ------------------------------------------------------------------------------------ */

/* Gives the document's tree (an object), or NULL with problems. */
struct json_object *config_text_parse(const char *name, const char *text, size_t n,
                                      struct config_problems *problems);

/* ---- Settings -------------------------------------------------------------------------------- */

enum setting_type {
    SETTING_OBJECT, /* with the settings below it */
    SETTING_MAP,    /* names to objects or lists */
    SETTING_INTEGER,
    SETTING_BOOLEAN,
    SETTING_STRING,
    SETTING_WORD, /* one of `words` */
    SETTING_NAME, /* refers to something else in the document */
    SETTING_ADDRESS,
    SETTING_URL,
    SETTING_SECRET, /* {"file": path} or {"env": NAME} */
    SETTING_FRACTION,
    SETTING_FRACTIONS,
    SETTING_LIMITS,
};

/* A row for each setting drives its checks, their messages, the default and the help. */
struct setting {
    /* "" is the document; "pools.<name>" is any pool; "<limit>" is any limit, wherever it is */
    const char *section;
    const char *key;
    enum setting_type type;
    const char
        *fallback; /* the default; "null": none; "": the help describes what happens without it */
    int64_t min, max;  /* SETTING_INTEGER */
    const char *words; /* SETTING_WORD: "deny|allow|local" */
    bool nullable;
    bool reloadable; /* else it needs a restart */
    bool secret;
    const char *help;
};

size_t config_setting_count(void);
const struct setting *config_setting_at(size_t index);
/* "on_outage", "store.url", "pools.<name>.preset": section and key as one. Returns buf. */
const char *config_setting_path(const struct setting *row, char *buf, size_t cap);

/* The state of reading a document. */
struct reader {
    struct config *config;
    struct config_problems *problems;
    struct json_object *presets; /* read when first needed */
    size_t n_open_files;         /* secret files that everyone may read */
    const char *open_file;       /* the first of them */
};

/* An object whose keys are settings of one section of the table. */
struct section {
    struct reader *reader;
    /* NULL: missing or not an object, then every setting has its default */
    struct json_object *object;
    struct config_place at;
    const struct config_place *whole; /* &at, or NULL for the document */
    const char *pattern;
};

/* Opens `value` as a section, and notes unknown keys. `out` must not be moved. */
void section_open(struct section *out, struct reader *reader, const struct config_place *at,
                  struct json_object *value, const char *pattern);
/* Is the key present? Then *value is its value, which is NULL for null. */
bool section_find(const struct section *section, const char *key, struct json_object **value);
bool section_has(const struct section *section, const char *key);

/* The setting's value, or its default if it is missing or wrong. */
int64_t section_integer(const struct section *section, const char *key);
/* In millionths. */
uint32_t section_fraction(const struct section *section, const char *key);
bool section_boolean(const struct section *section, const char *key);
/* The index into the row's words. */
unsigned section_word(const struct section *section, const char *key);
/* Borrowed from the tree or the table; NULL: null, wrong, or missing without default. Contains no
 * NUL. */
const char *section_string(const struct section *section, const char *key);
/* A map or list of the document; NULL: missing or wrong. */
struct json_object *section_container(const struct section *section, const char *key);
struct config_place section_place(const struct section *section, const char *key);
void section_problem(const struct section *section, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The valid values of this setting, for the end of a message: "use an integer from 1 to 5". Returns
 * buf. */
const char *config_setting_remedy(const struct setting *row, char *buf, size_t cap);

/* ---- Parts ----------------------------------------------------------------------------------- */

/* A list of limits; NULL: missing. `usual` is the algorithm of limits that do not name one. */
struct limit_set *config_read_limits(const struct section *section, const char *key,
                                     enum limit_algorithm usual);
/* The same for a list that is not a setting of its own but an entry of a map (in_pool). */
struct limit_set *config_read_limit_list(struct reader *reader, const struct config_place *at,
                                         struct json_object *list, enum limit_algorithm usual);
/* The limits of the preset that the section's key "preset" names; NULL: missing or unknown. */
struct limit_set *config_read_preset(const struct section *section);

void config_read_address(const struct section *section, const char *key, char **host,
                         uint16_t *port);
/* A socket's path; NULL: none. */
char *config_read_path(const struct section *section, const char *key);
void config_read_store(const struct section *section, struct config_store *out);
/* Gives the credential; NULL: missing or not readable. */
char *config_read_secret(const struct section *section, const char *key);

/* Reads the whole document. */
void config_build(struct reader *reader, struct json_object *document);

#endif
