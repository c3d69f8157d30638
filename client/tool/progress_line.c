#include "tool/progress_line.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define TERMINAL_LINE_MS 250
#define LOG_LINE_MS      5000

void progress_add(struct progress_line *line, const char *format, ...)
{
    va_list args;
    size_t room = sizeof(line->text) - line->n;
    va_start(args, format);
    int n = vsnprintf(line->text + line->n, room, format, args);
    va_end(args);
    if (n > 0)
        line->n += (size_t)n < room ? (size_t)n : room - 1;
}

void progress_show(const struct progress_line *line, bool last)
{
    struct winsize size;
    int columns = 80;
    if (!isatty(STDERR_FILENO)) {
        fprintf(stderr, "%s\n", line->text);
        return;
    }
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        columns = size.ws_col;
    fprintf(stderr, "\r\033[K%.*s%s", columns - 1, line->text, last ? "\n" : "");
}

void progress_clear(void)
{
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}

int64_t progress_interval_ms(void)
{
    return isatty(STDERR_FILENO) ? TERMINAL_LINE_MS : LOG_LINE_MS;
}
