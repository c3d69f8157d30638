/*
 * --fault draws from a random state of its own, so that the lengths of answers are the same with
 * and without it.
 */
#include "faults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "completion.h"
#include "form.h"
#include "lengths.h"
#include "read.h"

#define MOST_CALLS 1000000

static int parse_standing(struct faults *f, const char *text, size_t len)
{
    char name[FAULT_MAX_VALUE * 2];
    double share = 1;
    if (f->standing_count == FAULTS_MOST || len >= sizeof(name)) {
        return -1;
    }
    memcpy(name, text, len);
    name[len] = '\0';
    char *at = strrchr(name, '@');
    if (at) {
        char *end;
        share = strtod(at + 1, &end);
        if (end == at + 1 || *end != '\0' || !(share >= 0 && share <= 1)) {
            return -1;
        }
        *at = '\0';
    }
    f->standing[f->standing_count].share = share;
    return fault_parse(name, &f->standing[f->standing_count++].fault) ? 0 : -1;
}

int faults_init(struct faults *f, const char *text, uint64_t seed)
{
    memset(f, 0, sizeof(*f));
    f->random = seed;
    while (text && *text) {
        size_t len = strcspn(text, ",");
        if (parse_standing(f, text, len) < 0) {
            fprintf(stderr,
                    "strict-provider: --fault takes NAME[@SHARE],... with shares from 0 to 1, not "
                    "'%.*s'; a name is one of %s\n",
                    (int)len, text, fault_names);
            return -1;
        }
        text += len + (text[len] == ',');
    }
    return 0;
}

/* A form is kept until the provider ends, because the calls that use it are not counted. */
static const char *keep_form(struct faults *f, struct json_object *form, struct fault *fault)
{
    const char *why = form_check(form);
    if (why) {
        return why;
    }
    if (f->kept == NULL) {
        f->kept = json_object_new_array();
    }
    struct json_object *named = json_object_new_object();
    json_object_object_add(named, "any", json_object_get(form));
    json_object_array_add(f->kept, named);
    *fault = (struct fault){.kind = FAULT_FORM, .form = named, .failure = REPORT_FAULT_FORM};
    return NULL;
}

static const char *queue_one(struct faults *f, struct json_object *root)
{
    struct json_object *name;
    int64_t calls = 1;
    if (!json_object_object_get_ex(root, "fault", &name) ||
        !json_object_is_type(name, json_type_string) ||
        !read_whole(root, "calls", false, 1, MOST_CALLS, &calls)) {
        return "the body must be {\"fault\": NAME, \"calls\": N}, N from 1 to 1000000, 1 if it is "
               "not there";
    }
    if (f->queue_count == FAULTS_MOST) {
        return "64 faults wait already: DELETE /faults forgets them";
    }
    struct fault *fault = &f->queue[f->queue_count].fault;
    if (strcmp(json_object_get_string(name), "body") == 0) {
        const char *why = keep_form(f, root, fault);
        if (why) {
            return why;
        }
    } else if (!fault_parse(json_object_get_string(name), fault)) {
        return fault_names;
    }
    f->queue[f->queue_count++].calls = calls;
    return NULL;
}

const char *faults_queue(struct faults *f, const char *body, size_t len)
{
    const char *why = "the body is not valid JSON";
    struct json_tokener *tokener = json_tokener_new_ex(COMPLETION_MAX_DEPTH);
    if (tokener == NULL) {
        return why;
    }
    struct json_object *root = json_tokener_parse_ex(tokener, body, (int)len);
    if (json_tokener_get_error(tokener) == json_tokener_success) {
        why = queue_one(f, root);
    }
    json_object_put(root);
    json_tokener_free(tokener);
    return why;
}

void faults_close(struct faults *f)
{
    json_object_put(f->kept);
}

void faults_clear(struct faults *f)
{
    f->queue_count = 0;
}

/* Gives the first fault of the queue to one more call. */
static void take_first(struct faults *f, struct fault *fault)
{
    *fault = f->queue[0].fault;
    if (--f->queue[0].calls == 0) {
        f->queue_count--;
        memmove(&f->queue[0], &f->queue[1], f->queue_count * sizeof(f->queue[0]));
    }
}

bool faults_next(struct faults *f, const char *header, struct fault *fault)
{
    memset(fault, 0, sizeof(*fault));
    if (header) {
        return fault_parse(header, fault);
    }
    if (f->queue_count > 0) {
        take_first(f, fault);
        return true;
    }
    double u = f->standing_count > 0 ? lengths_random(&f->random) : 0;
    for (size_t i = 0; i < f->standing_count; i++) {
        if (u < f->standing[i].share) {
            *fault = f->standing[i].fault;
            return true;
        }
        u -= f->standing[i].share;
    }
    return true;
}
