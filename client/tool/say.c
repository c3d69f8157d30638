#include "tool/say.h"

#include <stdarg.h>
#include <stdio.h>

bool say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("ration: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return false;
}
