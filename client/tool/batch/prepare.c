/* What is sent for a request of the input: its body, cut out of its line, its estimate and its
 * headers. */
#include "tool/batch/check.h"
#include "tool/batch/run.h"
#include "tool/say.h"

#include "profile/jtext.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

void batch_call_forget_body(struct batch_call *call)
{
    sigv4_free(&call->signature);
    free(call->body);
    free(call->custom_id);
    call->body = NULL;
    call->custom_id = NULL;
}

/* Puts `made` in the place of `text` if anything was changed. */
static bool take_over(int changed, char **text, size_t *n, char *made, size_t made_n)
{
    if (changed > 0) {
        free(*text);
        *text = made;
        *n = made_n;
    }
    return changed >= 0;
}

/* The bytes that are sent are the user's own, cut out of the line, with as few changes as
 * possible. */
static bool make_body(const struct batch_run *run, struct batch_call *call,
                      const struct batch_request *request, const char *line, bool whole)
{
    size_t at = 0;
    size_t n = strlen(line);
    char *made = NULL;
    size_t made_n = 0;
    const char *member = batch_forms[request->format].body;
    if (member && !jtext_find(line, n, member, &at, &n))
        return false;
    call->body = strndup(line + at, n);
    call->body_bytes = n;
    if (!call->body)
        return false;
    int changed = whole ? jtext_set(call->body, n, "stream", "false", true, &made, &made_n) : 0;
    if (!take_over(changed, &call->body, &call->body_bytes, made, made_n))
        return false;
    changed =
        profile_make_body(run->profile, call->body, call->body_bytes, false, false, &made, &made_n);
    return take_over(changed, &call->body, &call->body_bytes, made, made_n);
}

bool batch_call_prepare(struct batch_run *run, struct batch_call *call)
{
    struct batch_request request;
    struct batch_sending sending;
    char why[PROFILE_WHY_BYTES] = "";
    char *line = NULL;
    call->id[0] = '\0';
    if (!batch_input_read(run->input, call->index, &request, &line)) {
        batch_run_stop(run, BATCH_TROUBLE);
        return false;
    }
    bool ok = batch_read_body(run->options, run->profile, request.body, &sending, why) == 0;
    if (ok) {
        call->estimate = (struct ration_amounts){0};
        profile_estimate(run->profile, &sending.read, &call->estimate);
        call->most_output = sending.read.most_output;
        call->elsewhere = sending.read.elsewhere;
        memcpy(call->url, sending.url, sizeof(call->url));
        call->custom_id = request.custom_id ? strdup(request.custom_id) : NULL;
        ok = make_body(run, call, &request, line, sending.whole) &&
             (call->custom_id || !request.custom_id);
    }
    if (!ok) {
        say("%s line %u: %s", run->input->name, run->input->lines[call->index].number,
            why[0] ? why : "out of memory");
        batch_run_stop(run, BATCH_TROUBLE);
        batch_call_forget_body(call);
    }
    json_object_put(request.root);
    free(line);
    return ok;
}

/* The user's own headers, and those that sign this try. */
bool batch_call_headers(const struct batch_run *run, struct batch_call *call, size_t *n)
{
    const struct option_list *own = &run->options->headers;
    const char *type = profile_find_header(own->at, own->n, "Content-Type");
    memcpy(call->headers, own->at, own->n * sizeof(own->at[0]));
    *n = own->n;
    if (profile_sign(run->profile, &run->key, call->url, type, call->body, call->body_bytes,
                     time(NULL), &call->signature) < 0)
        return false;
    for (size_t i = 0; i < call->signature.n; i++)
        call->headers[(*n)++] = call->signature.line[i];
    return true;
}
