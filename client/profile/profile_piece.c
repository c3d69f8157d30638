/*
 * What an answer says, whole or in the pieces that the events of a stream are: its text, for
 * people; and how much was generated in all, for the settlement, since a provider charges for
 * thoughts, refusals and the arguments of tools as it does for text.
 *
 * The profile says where text is. Everything generated is counted below the places that the profile
 * names, under whatever name, because servers invent names for it (reasoning, reasoning_content,
 * thinking) faster than anybody can list them; only what is known not to be generated is left out:
 * ids, signatures, data.
 */
#include "profile/profile_inner.h"

#include "grow.h"

#include <stdlib.h>
#include <string.h>

#define MAX_TEXT_BYTES INT32_MAX /* as a text of json-c */

const char *profile_event_name(const char *name, json_object *event)
{
    if (name && name[0] && strcmp(name, "message") != 0)
        return name;
    return profile_first_text(event, "type");
}

/* ---- Text ---- */

/* One text is lent as it is; of several (the parts of one event) a copy is made. */
struct texts {
    const struct profile *profile;
    const char *key; /* the last member of the place that is visited */
    const char *only;
    size_t n;
    struct grow joined;
};

/* A text for which there is no room is left out. */
static void join(struct texts *texts, const char *text)
{
    (void)grow_add(&texts->joined, text, strlen(text));
}

static bool add_text(void *arg, json_object *value)
{
    struct texts *texts = arg;
    if (!json_object_is_type(value, json_type_string))
        return true;
    const char *text = json_object_get_string(value);
    if (text[0] == '\0')
        return true;
    if (texts->n == 1)
        join(texts, texts->only);
    if (texts->n > 0)
        join(texts, text);
    texts->only = text;
    texts->n++;
    return true;
}

/* An object that says it is not an answer ("thought": true) is left out. */
static bool add_unless(void *arg, json_object *holder)
{
    struct texts *texts = arg;
    json_object *mark = NULL;
    json_object *value = NULL;
    if (!json_object_is_type(holder, json_type_object) ||
        (json_object_object_get_ex(holder, texts->profile->stream.not_text, &mark) &&
         json_object_get_boolean(mark)))
        return true;
    if (json_object_object_get_ex(holder, texts->key, &value) && value)
        add_text(texts, value);
    return true;
}

static void visit_holders(struct texts *texts, json_object *root, const char *place)
{
    const char *last = strrchr(place, '.');
    char holder[256];
    if (!last || (size_t)(last - place) >= sizeof(holder))
        return;
    memcpy(holder, place, (size_t)(last - place));
    holder[last - place] = '\0';
    texts->key = last + 1;
    profile_visit(root, holder, add_unless, texts);
}

static void free_joined(json_object *root, void *joined)
{
    (void)root;
    free(joined);
}

static const char *text_at(const struct profile *profile, const struct profile_list *places,
                           json_object *root)
{
    struct texts texts = {.profile = profile};
    grow_init(&texts.joined, MAX_TEXT_BYTES);
    for (size_t i = 0; i < places->n; i++) {
        if (profile->stream.not_text)
            visit_holders(&texts, root, places->at[i]);
        else
            profile_visit(root, places->at[i], add_text, &texts);
    }
    char *joined = grow_take(&texts.joined);
    if (!joined)
        return texts.only;
    json_object_set_userdata(root, joined, free_joined);
    return joined;
}

static bool is_among(const struct profile_list *names, const char *name, json_object *event)
{
    return names->n == 0 || profile_has_word(names, profile_event_name(name, event));
}

const char *profile_event_text(const struct profile *profile, const char *name, json_object *event)
{
    if (!is_among(&profile->stream.text_events, name, event))
        return NULL;
    return text_at(profile, &profile->stream.text, event);
}

const char *profile_answer_text(const struct profile *profile, json_object *answer)
{
    return text_at(profile, &profile->answer.text, answer);
}

/* ---- Pieces ---- */

struct generated {
    const struct profile_list *left_out;
    int64_t characters;
};

/* Goes no deeper than the parser did. */
static bool count_generated(void *arg, json_object *value)
{
    struct generated *generated = arg;
    if (json_object_is_type(value, json_type_string)) {
        generated->characters += profile_count_characters(
            json_object_get_string(value), (size_t)json_object_get_string_len(value));
    } else if (json_object_is_type(value, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(value); i++)
            count_generated(generated, json_object_array_get_idx(value, i));
    } else if (json_object_is_type(value, json_type_object)) {
        json_object_object_foreach(value, key, member)
        {
            if (!profile_has_word(generated->left_out, key))
                count_generated(generated, member);
        }
    }
    return true;
}

/* "finish_reason": "" and "done": false mean that there is none yet. */
static bool is_set(json_object *value)
{
    if (json_object_is_type(value, json_type_boolean))
        return json_object_get_boolean(value);
    if (json_object_is_type(value, json_type_string))
        return json_object_get_string_len(value) > 0;
    return value != NULL;
}

static bool any_set(const struct profile_list *places, json_object *root)
{
    for (size_t i = 0; i < places->n; i++) {
        if (is_set(profile_first(root, places->at[i])))
            return true;
    }
    return false;
}

void profile_read_piece(const struct profile *profile, const char *name, json_object *event,
                        struct profile_piece *piece)
{
    struct generated generated = {.left_out = &profile->stream.not_generated};
    const struct profile_list *places = &profile->stream.generated;
    if (is_among(&profile->stream.generated_events, name, event)) {
        for (size_t i = 0; i < places->n; i++)
            profile_visit(event, places->at[i], count_generated, &generated);
    }
    *piece = (struct profile_piece){
        .begun = any_set(&profile->stream.begun, event),
        .finished = any_set(&profile->stream.end_at, event),
        .arguments = profile->stream.arguments.n > 0 &&
                     is_among(&profile->stream.arguments_events, name, event) &&
                     any_set(&profile->stream.arguments, event),
        .characters = generated.characters,
    };
}

enum profile_form profile_form(const struct profile *profile)
{
    return profile->stream.form;
}

const char *profile_tier_header(const struct profile *profile)
{
    return profile->usage.tier_header;
}
