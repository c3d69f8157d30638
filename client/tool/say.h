/* Messages on stderr, each on a line that begins with the program's name. */
#ifndef RATION_TOOL_SAY_H
#define RATION_TOOL_SAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

static inline bool say_end(void)
{
    fputc('\n', stderr);
    return false;
}

/* say("%s: %s", path, why) gives false, so that what fails can say why and return at once. */
#define say(...) (fprintf(stderr, "ration: " __VA_ARGS__), say_end())

/* Copies text from outside for people: cut to size, unprintable bytes as '?'. */
void say_printable(const char *text, size_t n, char *out, size_t size);

#endif
