/*
 * A plain array from the first second on; memory grows by doubling. A moment before the first
 * second would have no place and is dropped; none occurs, since calls from before a reset are not
 * reported.
 */
#include "series.h"

#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#define FIRST_ROOM 64

void series_init(struct series *s, int64_t epoch_offset_us)
{
    memset(s, 0, sizeof(*s));
    s->epoch_offset_us = epoch_offset_us;
}

void series_close(struct series *s)
{
    free(s->seconds);
    memset(s, 0, sizeof(*s));
}

void series_clear(struct series *s)
{
    s->count = 0;
    s->cut = false;
}

static bool make_room(struct series *s, size_t needed)
{
    size_t room = s->room ? s->room : FIRST_ROOM;
    while (room < needed) {
        room *= 2;
    }
    if (room == s->room) {
        return true;
    }
    struct series_second *seconds = realloc(s->seconds, room * sizeof(*seconds));
    if (seconds == NULL) {
        return false;
    }
    s->seconds = seconds;
    s->room = room;
    return true;
}

struct series_second *series_at(struct series *s, int64_t at_us)
{
    static struct series_second nowhere;
    int64_t second = (at_us + s->epoch_offset_us) / 1000000;
    if (s->count == 0) {
        s->first_s = second;
    }
    int64_t place = second - s->first_s;
    if (place < 0 || place >= SERIES_MOST || !make_room(s, (size_t)place + 1)) {
        s->cut = true;
        return &nowhere;
    }
    if ((size_t)place >= s->count) {
        memset(s->seconds + s->count, 0, ((size_t)place + 1 - s->count) * sizeof(*s->seconds));
        s->count = (size_t)place + 1;
    }
    return &s->seconds[place];
}

static bool is_empty(const struct series_second *second)
{
    return second->tokens == 0 && second->used == 0 && second->requests == 0 &&
           second->granted == 0 && second->status_429 == 0;
}

static void put(struct json_object *o, const char *name, int64_t n)
{
    json_object_object_add(o, name, json_object_new_int64(n));
}

struct json_object *series_json(const struct series *s)
{
    struct json_object *all = json_object_new_array();
    for (size_t i = 0; i < s->count; i++) {
        const struct series_second *second = &s->seconds[i];
        if (is_empty(second)) {
            continue;
        }
        struct json_object *o = json_object_new_object();
        put(o, "second", s->first_s + (int64_t)i);
        put(o, "tokens", second->tokens);
        put(o, "used", second->used);
        put(o, "requests", second->requests);
        put(o, "granted", second->granted);
        put(o, "status_429", second->status_429);
        json_object_array_add(all, o);
    }
    return all;
}
