/*
 * Texts are put together here rather than by printf(), because the compiler could not check a table
 * of formats. They may quote what a client sent, so they are cut to size.
 */
#include "refusal.h"

#include <stdio.h>
#include <string.h>

static size_t append(char *out, size_t size, size_t used, const char *text, size_t len)
{
    size_t room = size - 1 - used;
    size_t n = len < room ? len : room;
    memcpy(out + used, text, n);
    return used + n;
}

/* Ends a text that was cut at a whole character. */
static void end_text(char *out, size_t used)
{
    while (used > 0 && ((unsigned char)out[used - 1] & 0xc0) == 0x80) {
        used--;
    }
    if (used > 0 && (unsigned char)out[used - 1] >= 0xc0) {
        used--;
    }
    out[used] = '\0';
}

static void fill(char *out, size_t size, const char *words, const char *const values[3])
{
    static const char *const names[3] = {"{name}", "{wants}", "{got}"};
    size_t used = 0;
    while (*words) {
        size_t step = 1;
        const char *text = words;
        size_t len = 1;
        for (size_t i = 0; i < 3 && *words == '{'; i++) {
            if (strncmp(words, names[i], strlen(names[i])) == 0) {
                step = strlen(names[i]);
                text = values[i] ? values[i] : "";
                len = strlen(text);
                break;
            }
        }
        used = append(out, size, used, text, len);
        words += step;
    }
    if (used == size - 1) {
        end_text(out, used);
    } else {
        out[used] = '\0';
    }
}

int complain(struct complaint *bad, enum refusal kind, const char *name, const char *wants,
             const char *got)
{
    if (bad->table[kind].words == NULL) {
        kind = kind == REFUSAL_NO_MODEL ? REFUSAL_MISSING : REFUSAL_CONTENT_TYPE;
    }
    const struct refusal_words *row = &bad->table[kind];
    const char *const values[3] = {name, wants, got};
    bad->kind = kind;
    bad->status = row->status;
    bad->type = row->type;
    bad->code = row->code;
    bad->param[0] = '\0';
    if (row->tells_field && name) {
        fill(bad->param, sizeof(bad->param), "{name}", values);
    }
    fill(bad->why, sizeof(bad->why), row->words, values);
    return -1;
}
