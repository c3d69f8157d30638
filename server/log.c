/* Logging to stderr: one write per line, so that lines of several threads never mix. */
#include "log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static atomic_int minimum = LOG_LEVEL_INFO;
static const char *const names[] = {"debug", "info", "warn", "error"};

void log_set_level(enum log_level level)
{
    atomic_store(&minimum, (int)level);
}

bool log_level_parse(const char *word, enum log_level *out)
{
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], word) == 0) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

/* A line is one event, whatever bytes a peer has put into it. */
static size_t escape_line(char *line, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)line[i] < 0x20 || (unsigned char)line[i] == 0x7f)
            line[i] = '?';
    return n;
}

void log_line(enum log_level level, const char *event, const char *format, ...)
{
    if ((int)level < atomic_load(&minimum))
        return;
    char line[1024];
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t n = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &utc);
    int more = snprintf(line + n, sizeof line - n, ".%03ldZ %s %s ", now.tv_nsec / 1000000,
                        names[level], event);
    n += more > 0 ? (size_t)more : 0;
    va_list args;
    va_start(args, format);
    more = vsnprintf(line + n, sizeof line - n, format, args);
    va_end(args);
    n += more > 0 ? (size_t)more : 0;
    if (n > sizeof line - 2)
        n = sizeof line - 2;
    n = escape_line(line, n);
    line[n++] = '\n';
    /* Nowhere to report a failing stderr to. */
    ssize_t ignored = write(STDERR_FILENO, line, n);
    (void)ignored;
}
