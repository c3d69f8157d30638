/*
 * A name is a word, a form's name, or a status that may carry a wait's form and value: 503, 429:20,
 * 429-ms:250, 429-nowait. Half of the answer is half of its bytes, or half of a stream's pieces.
 */
#include "fault.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/http.h>

#include "answer.h"
#include "completion.h"
#include "form.h"
#include "provider.h"
#include "refuse.h"

#define MAX_WAIT_S 86400
#define MOST_FILL  33554432LL /* characters of a form */

const char fault_names[] =
    "400, 401, 402, 403, 404, 408, 409, 422, 425, 429, 498, 500, 502, 503, 504 or 529, alone or "
    "with a wait (429:20, 429-ms:250, 429-azure:250, 429-date:5, 429-rfc3339:5, 429-epoch:5, "
    "429-epoch-ms:5, 429-retryinfo:5, 429-reset:5, 429-should:true, 429-nowait), "
    "insufficient_quota, enforced_spend_limit_reached, hang, stall, reset, reset-body, truncate, "
    "badjson, nousage, or a form that forms.json has for this shape";

static const struct {
    int status;
    enum report_failure failure;
} statuses[] = {
    {400, REPORT_FAULT_400}, {401, REPORT_FAULT_401}, {402, REPORT_FAULT_402},
    {403, REPORT_FAULT_403}, {404, REPORT_FAULT_404}, {408, REPORT_FAULT_408},
    {409, REPORT_FAULT_409}, {422, REPORT_FAULT_422}, {425, REPORT_FAULT_425},
    {429, REPORT_FAULT_429}, {498, REPORT_FAULT_498}, {500, REPORT_FAULT_500},
    {502, REPORT_FAULT_502}, {503, REPORT_FAULT_503}, {504, REPORT_FAULT_504},
    {529, REPORT_FAULT_529},
};

static const struct {
    const char *name;
    struct fault fault;
} words[] = {
    {"hang", {.kind = FAULT_HANG, .failure = REPORT_FAULT_HANG}},
    {"stall", {.kind = FAULT_STALL, .failure = REPORT_FAULT_STALL}},
    {"reset", {.kind = FAULT_RESET, .failure = REPORT_FAULT_RESET}},
    {"reset-body", {.kind = FAULT_RESET_BODY, .failure = REPORT_FAULT_RESET_BODY}},
    {"truncate", {.kind = FAULT_TRUNCATE, .failure = REPORT_FAULT_TRUNCATE}},
    {"badjson", {.kind = FAULT_BADJSON, .failure = REPORT_FAULT_BADJSON}},
    {"nousage", {.kind = FAULT_NO_USAGE, .failure = REPORT_FAULT_NOUSAGE}},
    {"insufficient_quota",
     {.kind = FAULT_ERROR,
      .status = 429,
      .type = "insufficient_quota",
      .code = "insufficient_quota",
      .wait = FAULT_WAIT_NONE,
      .failure = REPORT_FAULT_QUOTA}},
    {"enforced_spend_limit_reached",
     {.kind = FAULT_ERROR,
      .status = 429,
      .code = "enforced_spend_limit_reached",
      .wait = FAULT_WAIT_NONE,
      .failure = REPORT_FAULT_QUOTA}},
};

static const struct {
    const char *name; /* between the status and the value */
    enum fault_wait wait;
} forms[] = {
    {":", FAULT_WAIT_VERBATIM},
    {"-ms:", FAULT_WAIT_MS},
    {"-azure:", FAULT_WAIT_AZURE_MS},
    {"-date:", FAULT_WAIT_DATE},
    {"-should:", FAULT_WAIT_SHOULD},
    {"-epoch:", FAULT_WAIT_EPOCH},
    {"-epoch-ms:", FAULT_WAIT_EPOCH_MS},
    {"-rfc3339:", FAULT_WAIT_RFC3339},
    {"-retryinfo:", FAULT_WAIT_RETRY_INFO},
    {"-reset:", FAULT_WAIT_RESET},
};

/* ---- Names ----------------------------------------------------------------------------------- */

static bool parse_status(const char *name, struct fault *fault)
{
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        char digits[8];
        snprintf(digits, sizeof(digits), "%d", statuses[i].status);
        if (strncmp(name, digits, 3) == 0) {
            *fault = (struct fault){
                .kind = FAULT_ERROR, .status = statuses[i].status, .failure = statuses[i].failure};
            if (fault->status == 429) {
                fault->type = "requests";
                fault->code = "rate_limit_exceeded";
                fault->wait_us = 1000000;
            }
            return true;
        }
    }
    return false;
}

/* In Retry-After a value is sent verbatim; everywhere else it is a number. */
static bool parse_value(const char *value, struct fault *fault)
{
    size_t len = strlen(value);
    char *end;
    if (len == 0 || len >= sizeof(fault->value) || strspn(value, " ") == len) {
        return false;
    }
    snprintf(fault->value, sizeof(fault->value), "%s", value);
    if (fault->wait == FAULT_WAIT_VERBATIM || fault->wait == FAULT_WAIT_SHOULD) {
        return value[strcspn(value, "\r\n")] == '\0';
    }
    double n = strtod(value, &end);
    bool may_be_past = fault->wait == FAULT_WAIT_DATE || fault->wait == FAULT_WAIT_RFC3339 ||
                       fault->wait == FAULT_WAIT_EPOCH || fault->wait == FAULT_WAIT_EPOCH_MS;
    double most = MAX_WAIT_S * 1000.0;
    if (*end != '\0' || !(n >= (may_be_past ? -most : 0) && n <= most)) {
        return false;
    }
    bool in_ms = fault->wait == FAULT_WAIT_MS || fault->wait == FAULT_WAIT_AZURE_MS;
    fault->wait_us = (int64_t)(n * (in_ms ? 1000 : 1000000));
    return true;
}

static bool parse_wait(const char *rest, struct fault *fault)
{
    if (strcmp(rest, "-nowait") == 0) {
        fault->wait = FAULT_WAIT_NONE;
        return true;
    }
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        size_t len = strlen(forms[i].name);
        if (strncmp(rest, forms[i].name, len) == 0) {
            fault->wait = forms[i].wait;
            return parse_value(rest + len, fault);
        }
    }
    return rest[0] == '\0';
}

/* NAME, or NAME:N if it needs a length. */
static bool parse_form(const char *name, struct fault *fault)
{
    char *end = NULL;
    const char *colon = strchr(name, ':');
    int64_t n = colon ? strtoll(colon + 1, &end, 10) : 0;
    struct json_object *form = forms_find(name);
    if (form == NULL || (colon && (end == colon + 1 || *end != '\0' || n < 1 || n > MOST_FILL))) {
        return false;
    }
    *fault =
        (struct fault){.kind = FAULT_FORM, .form = form, .fill = n, .failure = REPORT_FAULT_FORM};
    return true;
}

bool fault_parse(const char *name, struct fault *fault)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(name, words[i].name) == 0) {
            *fault = words[i].fault;
            return true;
        }
    }
    return parse_form(name, fault) || (parse_status(name, fault) && parse_wait(name + 3, fault));
}

bool fault_settle(struct fault *fault, const struct completion *asked)
{
    if (fault->kind != FAULT_FORM) {
        return true;
    }
    fault->form = form_for(fault->form, asked->shape);
    const char *when = form_text(fault->form, "when");
    if (when && strcmp(when, "stream_options") == 0 && !asked->asks_usage) {
        memset(fault, 0, sizeof(*fault));
        return true;
    }
    return fault->form != NULL;
}

bool fault_is_early(const struct fault *fault)
{
    int status = fault->kind == FAULT_FORM ? form_status(fault->form) : fault->status;
    return (fault->kind == FAULT_ERROR || fault->kind == FAULT_FORM) && status >= 400 &&
           status < 500;
}

void fault_use(const struct fault *fault, const struct completion *asked, struct usage *use)
{
    int64_t most = asked->no_output ? 0 : asked->choices * asked->max_output;
    if (fault->kind != FAULT_FORM) {
        return;
    }
    const char *used = form_text(fault->form, "used");
    if (form_status(fault->form) >= 400 || (used && strcmp(used, "nothing") == 0)) {
        memset(use, 0, sizeof(*use));
    } else if (used && strcmp(used, "fill") == 0) {
        int64_t tokens = (fault->fill + 3) / 4;
        use->completion_tokens = tokens < most ? tokens : most;
        use->reasoning_tokens = 0;
    }
}

/* ---- Answers --------------------------------------------------------------------------------- */

static void add_date(struct evhttp_request *req, int64_t wait_us, bool rfc3339)
{
    char date[64];
    struct tm tm;
    time_t at = time(NULL) + (time_t)shape_seconds(wait_us);
    gmtime_r(&at, &tm);
    if (rfc3339) {
        strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &tm);
    } else {
        strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
    }
    evhttp_add_header(evhttp_request_get_output_headers(req), "Retry-After", date);
}

static void tell_wait(struct evhttp_request *req, const struct fault *fault,
                      struct answer_error *error, char *delay, size_t size)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
    switch (fault->wait) {
    case FAULT_WAIT_OWN:
        error->wait_us = fault->wait_us;
        break;
    case FAULT_WAIT_NONE:
        break;
    case FAULT_WAIT_VERBATIM:
        evhttp_add_header(headers, "Retry-After", fault->value);
        break;
    case FAULT_WAIT_MS:
        evhttp_add_header(headers, "retry-after-ms", fault->value);
        break;
    case FAULT_WAIT_AZURE_MS:
        evhttp_add_header(headers, "x-ms-retry-after-ms", fault->value);
        break;
    case FAULT_WAIT_SHOULD:
        evhttp_add_header(headers, "x-should-retry", fault->value);
        break;
    case FAULT_WAIT_EPOCH:
        shape_add_number(headers, "Retry-After", (int64_t)time(NULL) + fault->wait_us / 1000000);
        break;
    case FAULT_WAIT_EPOCH_MS:
        shape_add_number(headers, "Retry-After",
                         (int64_t)time(NULL) * 1000 + fault->wait_us / 1000);
        break;
    case FAULT_WAIT_DATE: /* https://www.rfc-editor.org/rfc/rfc9110#name-retry-after */
        add_date(req, fault->wait_us, false);
        break;
    case FAULT_WAIT_RFC3339:
        add_date(req, fault->wait_us, true);
        break;
    case FAULT_WAIT_RETRY_INFO:
        snprintf(delay, size, "%ss", fault->value);
        error->retry_delay = delay;
        break;
    case FAULT_WAIT_RESET:
        error->reset_us = fault->wait_us;
        break;
    }
}

static const char *say(const struct fault *fault)
{
    switch (fault->failure) {
    case REPORT_FAULT_QUOTA:
        return "The account's quota or spend limit is used up, because a fault asked for it; no "
               "wait will help.";
    case REPORT_FAULT_429:
        return "Refused as over a limit, because a fault asked for it.";
    default:
        return fault->status < 500 ? "Refused, because a fault asked for it."
                                   : "The call failed, because a fault asked for it.";
    }
}

/* Nothing has been used yet; any usage that the form reports is nobody's. */
static void answer_early_form(struct provider *p, struct evhttp_request *req,
                              const struct completion *asked, const struct fault *fault)
{
    struct usage none = {0};
    struct reply reply = {.asked = asked, .use = &none, .created_s = (int64_t)time(NULL)};
    struct form_facts facts = {&reply, fault->fill};
    refuse_count(p, fault->failure);
    answer_form(p, req, fault->form, &facts);
}

void fault_answer(struct provider *p, struct evhttp_request *req, const struct completion *asked,
                  const struct fault *fault)
{
    char delay[FAULT_MAX_VALUE + 4];
    if (fault->kind == FAULT_FORM) {
        answer_early_form(p, req, asked, fault);
        return;
    }
    struct answer_error error = {
        .status = fault->status, .type = fault->type, .code = fault->code, .message = say(fault)};
    tell_wait(req, fault, &error, delay, sizeof(delay));
    if (fault_is_early(fault)) {
        refuse(p, req, fault->failure, &error);
    } else {
        answer_error(p, req, &error);
    }
}
