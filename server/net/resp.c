/*
 * The request parser.
 *
 *     START --'*'--> COUNT --"3\r\n"--> LENGTH --"$7\r\n"--> BYTES --"ACQUIRE\r\n"--> ...
 *       |
 *       +--any other printable byte--> LINE --"PING\n"--> complete
 *
 * Each state needs bounded lookahead (a header has at most 24 bytes) or remembers how far it has
 * looked (`at` of a line), so a request that arrives byte by byte costs no more than one that
 * arrives whole.
 *
 * How it fails: a request that exceeds a limit of protocol.h is refused as soon as its header says
 * so, before its bytes arrive. Input that cannot be RESP (a TLS greeting, an HTTP request, a
 * negative length) is RESP_BROKEN, because there is no telling where the next request begins. A
 * line with unbalanced quotes has an end, so only that line is refused.
 */
#include "net/resp.h"

#include "text.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

enum { START, COUNT, LENGTH, BYTES, LINE };

#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)

static const char too_long[] =
    "ERR request is longer than " TEXT(RATION_MAX_REQUEST_BYTES) " bytes";
static const char too_many[] = "ERR request has more than " TEXT(RATION_MAX_ARGS) " arguments";
static const char line_too_long[] =
    "ERR inline request is longer than " TEXT(RATION_MAX_INLINE_BYTES) " bytes";
static const char not_resp[] =
    "ERR these bytes are not RESP; connect with a Redis client, or type a "
    "command and end the line";
static const char is_http[] = "ERR this port speaks RESP, not HTTP";
static const char bad_header[] = "ERR not RESP: expected * or $, a whole number and CRLF";
static const char bad_end[] = "ERR not RESP: an argument does not end with CRLF where it should";
static const char unbalanced[] = "ERR unbalanced quotes in the line; close each quote and put a "
                                 "space after it";

void resp_parser_reset(struct resp_parser *parser)
{
    parser->state = START;
    parser->wanted = parser->argc = 0;
    parser->at = parser->need = 0;
}

/* The header at parser->at: its sigil, a number, CRLF. */
static enum resp_result parse_header(struct resp_parser *parser, const char *data, size_t n,
                                     char sigil, long *value)
{
    enum {
        MAX_DIGITS = 20,
        SATURATED = 1000000000
    }; /* far beyond any limit: the caller says which */
    size_t i = parser->at;
    if (i == n)
        return RESP_MORE;
    if (data[i++] != sigil)
        return RESP_BROKEN;
    bool negative = i < n && data[i] == '-';
    if (negative)
        i++;
    size_t first = i;
    long number = 0;
    for (; i < n && data[i] >= '0' && data[i] <= '9'; i++) {
        if (i - first == MAX_DIGITS)
            return RESP_BROKEN;
        number = number < SATURATED / 10 ? number * 10 + (data[i] - '0') : SATURATED;
    }
    if (i == n)
        return RESP_MORE;
    if (i == first || data[i] != '\r')
        return RESP_BROKEN;
    if (i + 1 == n)
        return RESP_MORE;
    if (data[i + 1] != '\n')
        return RESP_BROKEN;
    parser->at = (uint16_t)(i + 2);
    *value = negative ? -number : number;
    return RESP_REQUEST;
}

static enum resp_result parse_count(struct resp_parser *parser, const char *data, size_t n,
                                    const char **error)
{
    long count = 0;
    enum resp_result result = parse_header(parser, data, n, '*', &count);
    *error = bad_header;
    if (result != RESP_REQUEST)
        return result;
    if (count > RATION_MAX_ARGS) {
        *error = too_many;
        return RESP_BROKEN;
    }
    /* A null or empty array asks nothing: like Redis, accept it without an answer. */
    parser->wanted = count > 0 ? (uint8_t)count : 0;
    parser->state = LENGTH;
    return RESP_REQUEST;
}

static enum resp_result parse_length(struct resp_parser *parser, const char *data, size_t n,
                                     const char **error)
{
    long length = 0;
    enum resp_result result = parse_header(parser, data, n, '$', &length);
    *error = bad_header;
    if (result != RESP_REQUEST)
        return result;
    if (length < 0)
        return RESP_BROKEN;
    if (length > RATION_MAX_REQUEST_BYTES || parser->at + length + 2 > RATION_MAX_REQUEST_BYTES) {
        *error = too_long;
        return RESP_BROKEN;
    }
    parser->need = (uint16_t)length;
    parser->state = BYTES;
    return RESP_REQUEST;
}

static enum resp_result parse_bytes(struct resp_parser *parser, const char *data, size_t n,
                                    const char **error)
{
    size_t end = (size_t)parser->at + parser->need;
    if (n < end + 2)
        return RESP_MORE;
    if (data[end] != '\r' || data[end + 1] != '\n') {
        *error = bad_end;
        return RESP_BROKEN;
    }
    parser->args[parser->argc++] = (struct resp_span){parser->at, parser->need};
    parser->at = (uint16_t)(end + 2);
    parser->state = LENGTH;
    return RESP_REQUEST;
}

static enum resp_result parse_array(struct resp_parser *parser, const char *data, size_t n,
                                    size_t *used, const char **error)
{
    enum resp_result result;
    if (parser->state == COUNT && (result = parse_count(parser, data, n, error)) != RESP_REQUEST)
        return result;
    while (parser->argc < parser->wanted) {
        if (parser->state == LENGTH)
            result = parse_length(parser, data, n, error);
        else
            result = parse_bytes(parser, data, n, error);
        if (result != RESP_REQUEST)
            return result;
    }
    *used = parser->at;
    return RESP_REQUEST;
}

/* ---- Inline requests ------------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The byte that an escape stands for; *i moves from the character after the backslash to the
 * escape's last. */
static char unescape(const char *data, size_t *i, size_t end)
{
    char c = data[*i];
    unsigned char byte;
    switch (c) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'a':
        return '\a';
    case 'b':
        return '\b';
    case 'x':
        if (*i + 2 < end && text_from_hex(data + *i + 1, &byte, 1)) {
            c = (char)byte;
            *i += 2;
        }
        return c;
    default:
        return c;
    }
}

/*
 * Reads one word from *i on and unquotes it in place. A word may be quoted in part, as in a shell;
 * it must end after a closing quote, which catches a forgotten space.
 */
static bool take_word(char *data, size_t *i, size_t end, struct resp_span *out)
{
    size_t to = *i, from = *i;
    char quote = 0;
    out->at = (uint16_t)to;
    for (; from < end; from++) {
        char c = data[from];
        if (quote == 0 && is_blank(c))
            break;
        if (quote == 0 && (c == '"' || c == '\'')) {
            quote = c;
        } else if (quote != 0 && c == quote) {
            if (from + 1 < end && !is_blank(data[from + 1]))
                return false;
            quote = 0;
        } else if (c == '\\' && from + 1 < end &&
                   (quote == '"' || (quote && data[from + 1] == quote))) {
            from++;
            data[to++] = unescape(data, &from, end);
        } else {
            data[to++] = c;
        }
    }
    out->n = (uint16_t)(to - out->at);
    *i = from;
    return quote == 0;
}

static bool looks_like_http(const char *data, const struct resp_parser *parser)
{
    const struct resp_span *last = &parser->args[parser->argc - 1];
    const struct resp_span *first = &parser->args[0];
    return (last->n >= 7 && memcmp(data + last->at, "HTTP/1.", 7) == 0) ||
           (first->n == 5 && strncasecmp(data + first->at, "host:", 5) == 0);
}

static enum resp_result split_line(struct resp_parser *parser, char *data, size_t end,
                                   const char **error)
{
    for (size_t i = 0;;) {
        while (i < end && is_blank(data[i]))
            i++;
        if (i == end)
            break;
        if (parser->argc == RATION_MAX_ARGS) {
            *error = too_many;
            return RESP_BROKEN;
        }
        if (!take_word(data, &i, end, &parser->args[parser->argc])) {
            *error = unbalanced;
            return RESP_BAD_LINE;
        }
        parser->argc++;
    }
    /* A browser that was lured here must not run commands from the body of its request. */
    if (parser->argc > 0 && looks_like_http(data, parser)) {
        *error = is_http;
        return RESP_BROKEN;
    }
    return RESP_REQUEST;
}

static enum resp_result parse_line(struct resp_parser *parser, char *data, size_t n, size_t *used,
                                   const char **error)
{
    size_t look = n <= RATION_MAX_INLINE_BYTES ? n : RATION_MAX_INLINE_BYTES;
    for (; parser->at < look && data[parser->at] != '\n'; parser->at++) {
        unsigned char c = (unsigned char)data[parser->at];
        if ((c < 0x20 && c != '\t' && c != '\r') || c == 0x7f) {
            *error = not_resp;
            return RESP_BROKEN;
        }
    }
    if (parser->at == look) {
        *error = line_too_long;
        return look == RATION_MAX_INLINE_BYTES ? RESP_BROKEN : RESP_MORE;
    }
    *used = (size_t)parser->at + 1;
    size_t end = parser->at;
    if (end > 0 && data[end - 1] == '\r')
        end--;
    return split_line(parser, data, end, error);
}

enum resp_result resp_parse(struct resp_parser *parser, char *data, size_t n, size_t *used,
                            const char **error)
{
    if (n == 0)
        return RESP_MORE;
    if (parser->state == START)
        parser->state = data[0] == '*' ? COUNT : LINE;
    if (parser->state == LINE)
        return parse_line(parser, data, n, used, error);
    return parse_array(parser, data, n, used, error);
}

size_t resp_args(const struct resp_parser *parser, const char *data,
                 struct arg out[RATION_MAX_ARGS])
{
    for (size_t i = 0; i < parser->argc; i++)
        out[i] = (struct arg){data + parser->args[i].at, parser->args[i].n};
    return parser->argc;
}
