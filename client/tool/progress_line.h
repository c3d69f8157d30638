#ifndef RATION_TOOL_PROGRESS_LINE_H
#define RATION_TOOL_PROGRESS_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A progress line. On a terminal it is redrawn in place and cut to the terminal's width, since a
 * wrapped one could not be redrawn; elsewhere each is a line of a log.
 */
struct progress_line {
    char text[400];
    size_t n;
};

void progress_add(struct progress_line *line, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void progress_show(const struct progress_line *line, bool last);

/* Clears the line of a terminal, so that a message can be printed. */
void progress_clear(void);

/* Time from one line to the next. */
int64_t progress_interval_ms(void);

#endif
