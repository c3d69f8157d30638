/* The reply writer. Errors quote outside bytes (a mistyped unit, say), so they are forced onto one
 * line here: a peer must never be able to inject a reply of its own into the stream. */
#include "net/resp.h"

#include <stdio.h>
#include <string.h>

/* "<sigil><number>\r\n", without printf: each reply has a dozen of these. */
static void write_header(struct buf *out, char sigil, int64_t value)
{
    char text[24];
    char *p = text + sizeof text;
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    *--p = '\n';
    *--p = '\r';
    do {
        *--p = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (value < 0)
        *--p = '-';
    *--p = sigil;
    buf_append(out, p, (size_t)(text + sizeof text - p));
}

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

static void write_line(struct buf *out, char sigil, const char *text)
{
    size_t n = strlen(text);
    char *to = buf_reserve(out, n + 3);
    if (to == NULL)
        return;
    *to++ = sigil;
    for (size_t i = 0; i < n; i++) {
        *to++ = text[i];
        if (is_control(text[i]))
            to[-1] = '?';
    }
    *to++ = '\r';
    *to = '\n';
    buf_commit(out, n + 3);
}

void resp_simple(struct buf *out, const char *text)
{
    write_line(out, '+', text);
}

void resp_error(struct buf *out, const char *text)
{
    write_line(out, '-', text);
}

void resp_integer(struct buf *out, int64_t value)
{
    write_header(out, ':', value);
}

void resp_bulk(struct buf *out, const char *bytes, size_t n)
{
    write_header(out, '$', (int64_t)n);
    buf_append(out, bytes, n);
    buf_append(out, "\r\n", 2);
}

void resp_text(struct buf *out, const char *text)
{
    resp_bulk(out, text, strlen(text));
}

void resp_array(struct buf *out, size_t n)
{
    write_header(out, '*', (int64_t)n);
}

void resp_map(struct buf *out, int resp, size_t n)
{
    if (resp >= 3)
        write_header(out, '%', (int64_t)n);
    else
        write_header(out, '*', (int64_t)n * 2);
}

void resp_null(struct buf *out, int resp)
{
    if (resp >= 3)
        buf_append(out, "_\r\n", 3);
    else
        buf_append(out, "$-1\r\n", 5);
}

const char *resp_show(char buf[RESP_SHOW_BYTES], const char *bytes, size_t n)
{
    enum { MOST = 64 };
    char *to = buf;
    for (size_t i = 0; i < n && i < MOST; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c >= 0x20 && c < 0x7f)
            *to++ = (char)c;
        else
            to += snprintf(to, 5, "\\x%02x", c);
    }
    strcpy(to, n > MOST ? "..." : ""); /* at most 64 * 4 + 4 bytes */
    return buf;
}
