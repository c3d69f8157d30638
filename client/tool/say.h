/* Messages on stderr, each on a line that begins with the program's name. */
#ifndef RATION_TOOL_SAY_H
#define RATION_TOOL_SAY_H

#include <stdbool.h>

/* Always gives false, so that what fails can say why and return at once. */
bool say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
