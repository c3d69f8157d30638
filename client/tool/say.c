#include "tool/say.h"

void say_printable(const char *text, size_t n, char *out, size_t size)
{
    n = n < size ? n : size - 1;
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(text[i] >= ' ' && text[i] <= '~' ? text[i] : '?');
    out[n] = '\0';
}
