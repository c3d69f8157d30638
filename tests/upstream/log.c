/*
 * A line is put together first and written by one fputs, so that lines of several processes that
 * share a stderr stay whole. A line that is too long is cut: losing its end is better than failing.
 */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

void log_event(const char *level, const char *event, const char *format, ...)
{
    char line[1024];
    char stamp[32];
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(line, sizeof(line), "time=%s.%03ldZ level=%s event=%s ", stamp, now.tv_nsec / 1000000,
             level, event);
    size_t used = strlen(line);
    va_list args;
    va_start(args, format);
    vsnprintf(line + used, sizeof(line) - 1 - used, format, args);
    va_end(args);
    used = strlen(line);
    line[used] = '\n';
    line[used + 1] = '\0';
    fputs(line, stderr);
}

const char *log_quote(char *out, size_t size, const char *from)
{
    static const char hex[] = "0123456789abcdef";
    size_t used = 0;
    out[used++] = '"';
    for (; *from && used + 6 <= size; from++) {
        unsigned char c = (unsigned char)*from;
        if (c >= ' ' && c < 0x7f && c != '"' && c != '\\') {
            out[used++] = (char)c;
        } else {
            out[used++] = '\\';
            out[used++] = 'x';
            out[used++] = hex[c >> 4];
            out[used++] = hex[c & 15];
        }
    }
    out[used++] = '"';
    out[used] = '\0';
    return out;
}
