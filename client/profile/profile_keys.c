/* The table of keys; the head of profiles.json explains each of them. */
#include "profile/profile_keys.h"

#define MAX_OUTPUT_WEIGHT 1000
#define MAX_PRICE         10000000

/* clang-format off */
#define P(member) offsetof(struct profile, member)
#define AT(member) offsetof(struct profile_limit, member)

static const struct profile_member key_keys[] = {
    {"header", HEADER, .to = P(key.header) - P(key), .needed = true},
    {"prefix", TEXT, .to = P(key.prefix) - P(key)},
    {"variable", TEXT, .to = P(key.variable) - P(key)},
    {"parameter", TEXT, .to = P(key.parameter) - P(key)},
    {"optional", FLAG, .to = P(key.optional) - P(key)},
    {0}};

static const struct profile_member sign_keys[] = {
    {"service", TEXT, .to = P(sign.service) - P(sign), .needed = true},
    {"id", TEXT, .to = P(sign.id) - P(sign), .needed = true},
    {"secret", TEXT, .to = P(sign.secret) - P(sign), .needed = true},
    {"session", TEXT, .to = P(sign.session) - P(sign)},
    {0}};

#define D(member) offsetof(struct profile_media, member)
static const struct profile_member media_keys[] = {
    {"at", PLACE, .to = D(at), .needed = true},
    {"key", PLACE, .to = D(key)},
    {"is", TEXT, .to = D(is)},
    {"kind", MEDIUM, .to = D(kind)},
    {"data", PLACES, .to = D(data), .needed = true},
    {"type", PLACES, .to = D(type)},
    {"detail", PLACE, .to = D(detail)},
    {0}};

#define PRICE(name, of, member) \
    {name, COUNT, .to = offsetof(struct of, member), .min = 0, .max = MAX_PRICE}
static const struct profile_member image_keys[] = {
    PRICE("low", profile_image, low),
    PRICE("base", profile_image, base),
    PRICE("tile", profile_image, tile),
    PRICE("tile_side", profile_image, tile_side),
    PRICE("pixels", profile_image, pixels),
    PRICE("long_side", profile_image, long_side),
    PRICE("short_side", profile_image, short_side),
    PRICE("small", profile_image, small),
    PRICE("small_side", profile_image, small_side),
    PRICE("most", profile_image, most),
    PRICE("unknown", profile_image, unknown),
    {0}};

static const struct profile_member length_keys[] = {
    PRICE("each", profile_length, each),
    PRICE("bytes", profile_length, bytes),
    PRICE("unknown", profile_length, unknown),
    {0}};

#define R(member) (P(request.member) - P(request))
static const struct profile_member request_keys[] = {
    {"text", PLACES, .to = R(text)},
    {"json", PLACES, .to = R(json)},
    {"max_output", PLACES, .to = R(max_output)},
    {"choices", PLACES, .to = R(choices)},
    {"default_output", COUNT, .to = R(default_output), .min = 1, .max = RATION_MAX_COST},
    {"ask_usage", PLACE, .to = R(ask_usage)},
    {"drop", WORDS, .to = R(drop)},
    {"content_type", TEXT, .to = R(content_type)},
    {"elsewhere", PLACES, .to = R(elsewhere)},
    {"accept", TEXT, .to = R(accept)},
    {"stream_accept", TEXT, .to = R(stream_accept)},
    {"output", FLAG, .to = R(output)},
    {"streams_by_default", FLAG, .to = R(streams_by_default)},
    {"tools_at", PLACE, .to = R(tools_at)},
    {"tools_tokens", COUNT, .to = R(tools_tokens), .min = 0, .max = MAX_PRICE},
    {"media", ROWS, .to = R(media), .n = R(n_media),
     .keys = media_keys, .size = sizeof(struct profile_media)},
    {"image", PART, .to = R(image), .keys = image_keys},
    {"document", PART, .to = R(document), .keys = length_keys},
    {"audio", PART, .to = R(audio), .keys = length_keys},
    {"video", PART, .to = R(video), .keys = length_keys},
    {0}};

#define A(member) (P(answer.member) - P(answer))
static const struct profile_member answer_keys[] = {
    {"has", PLACES, .to = A(has), .needed = true},
    {"text", PLACES, .to = A(text)},
    {"failed_at", PLACES, .to = A(failed_at)},
    {"failed", WORDS, .to = A(failed)},
    {0}};

#define M(member) offsetof(struct profile_more, member)
static const struct profile_member more_keys[] = {
    {"at", PLACE, .to = M(at), .needed = true},
    {"key", TEXT, .to = M(key), .needed = true},
    {"is", TEXT, .to = M(is), .needed = true},
    {0}};

#define U(member) (P(usage.member) - P(usage))
static const struct profile_member usage_keys[] = {
    {"at", PLACES, .to = U(at), .needed = true},
    {"stream_at", PLACES, .to = U(stream_at)},
    {"input", PLACES, .to = U(input), .needed = true},
    {"output", PLACES, .to = U(output), .needed = true},
    {"total", PLACES, .to = U(total)},
    {"cached", PLACES, .to = U(cached)},
    {"cache_writes", PLACES, .to = U(cache_writes)},
    {"reasoning", PLACES, .to = U(reasoning)},
    {"audio", PLACES, .to = U(audio)},
    {"more", ROWS, .to = U(more), .n = U(n_more),
     .keys = more_keys, .size = sizeof(struct profile_more)},
    {"tier", PLACES, .to = U(tier)},
    {"tier_header", HEADER, .to = U(tier_header)},
    {"absent_is_zero", FLAG, .to = U(absent_is_zero)},
    {0}};

#define C(member) (P(counts.member) - P(counts))
static const struct profile_member counts_keys[] = {
    {"cached_input", FLAG, .to = C(cached_input)},
    {"cache_writes", FLAG, .to = C(cache_writes)},
    {"output", COUNT, .to = C(output), .min = 0, .max = MAX_OUTPUT_WEIGHT},
    {0}};

#define S(member) (P(stream.member) - P(stream))
static const struct profile_member stream_keys[] = {
    {"text", PLACES, .to = S(text)},
    {"text_events", WORDS, .to = S(text_events)},
    {"not_text", TEXT, .to = S(not_text)},
    {"form", STREAM, .to = S(form)},
    {"arguments", PLACES, .to = S(arguments)},
    {"arguments_events", WORDS, .to = S(arguments_events)},
    {"generated", PLACES, .to = S(generated)},
    {"generated_events", WORDS, .to = S(generated_events)},
    {"not_generated", WORDS, .to = S(not_generated)},
    {"begun", PLACES, .to = S(begun)},
    {"end_data", WORDS, .to = S(end_data)},
    {"end_events", WORDS, .to = S(end_events)},
    {"end_at", PLACES, .to = S(end_at)},
    {0}};

#define V(member) offsetof(struct profile_violations, member)
static const struct profile_member word_unit_keys[] = {
    {"word", TEXT, .to = offsetof(struct profile_word_unit, word), .needed = true},
    {"unit", UNIT, .to = offsetof(struct profile_word_unit, unit), .needed = true},
    {0}};
static const struct profile_member word_period_keys[] = {
    {"word", TEXT, .to = offsetof(struct profile_word_period, word), .needed = true},
    {"per", PERIOD, .to = offsetof(struct profile_word_period, per_ms), .needed = true},
    {0}};
static const struct profile_member violations_keys[] = {
    {"at", PLACE, .to = V(at), .needed = true},
    {"id", PLACE, .to = V(id), .needed = true},
    {"limit", PLACE, .to = V(limit)},
    {"units", ROWS, .to = V(units), .n = V(n_units), .needed = true, .keys = word_unit_keys,
     .size = sizeof(struct profile_word_unit)},
    {"periods", ROWS, .to = V(periods), .n = V(n_periods), .needed = true, .keys = word_period_keys,
     .size = sizeof(struct profile_word_period)},
    {0}};

#define E(member) (P(errors.member) - P(errors))
static const struct profile_member errors_keys[] = {
    {"at", PLACES, .to = E(at), .needed = true},
    {"message", PLACES, .to = E(message)},
    {"codes", PLACES, .to = E(codes)},
    {"events", WORDS, .to = E(events)},
    {"exhausted", WORDS, .to = E(exhausted)},
    {"exhausted_messages", WORDS, .to = E(exhausted_messages)},
    {"limited", WORDS, .to = E(limited)},
    {"overloaded", WORDS, .to = E(overloaded)},
    {"refused", WORDS, .to = E(refused)},
    {"delay", PLACES, .to = E(delay)},
    {"violations", PART, .to = E(violations), .keys = violations_keys},
    {0}};

static const struct profile_member wait_keys[] = {
    {"header", HEADER, .to = offsetof(struct profile_wait, header), .needed = true},
    {"form", FORM, .to = offsetof(struct profile_wait, in_ms)},
    {0}};

static const struct profile_member limit_keys[] = {
    {"unit", UNIT, .to = AT(unit), .needed = true},
    {"per", PERIOD, .to = AT(per_ms)},
    {"limit", HEADER, .to = AT(limit)},
    {"remaining", HEADER, .to = AT(remaining)},
    {"reset", HEADER, .to = AT(reset)},
    {"period", HEADER, .to = AT(period)},
    {"state", HEADER, .to = AT(state)},
    {"policy", HEADER, .to = AT(policy)},
    {"reset_may_be_ms", FLAG, .to = AT(reset_may_be_ms)},
    {0}};

const struct profile_member profile_members[] = {
    {"source", TEXT, .to = P(source)},
    {"checked", TEXT, .to = P(checked)},
    {"url", URL, .to = P(url)},
    {"path", PATH, .to = P(path), .needed = true},
    {"stream_path", PATH, .to = P(stream_path)},
    {"versioned_path", PATH, .to = P(versioned_path)},
    {"versioned_base", FLAG, .to = P(versioned_base)},
    {"streams", FLAG, .to = P(streams)},
    {"key", PART, .to = P(key), .keys = key_keys},
    {"sign", PART, .to = P(sign), .keys = sign_keys},
    {"headers", HEADERS, .to = P(headers), .n = P(n_headers)},
    {"request", PART, .to = P(request), .keys = request_keys},
    {"answer", PART, .to = P(answer), .keys = answer_keys},
    {"usage", PART, .to = P(usage), .keys = usage_keys},
    {"counts", PART, .to = P(counts), .keys = counts_keys},
    {"stream", PART, .to = P(stream), .keys = stream_keys},
    {"errors", PART, .to = P(errors), .keys = errors_keys},
    {"should_retry", HEADER, .to = P(should_retry)},
    {"waits", ROWS, .to = P(waits), .n = P(n_waits),
     .keys = wait_keys, .size = sizeof(struct profile_wait)},
    {"limits", ROWS, .to = P(limits), .n = P(n_limits),
     .keys = limit_keys, .size = sizeof(struct profile_limit)},
    {0}};
/* clang-format on */
