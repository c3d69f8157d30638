#include "fuzz_self_reader.h"

/* Letter by letter, never with two letters in one constant, so that no comparison gives the word
 * away. */
bool fuzz_self_read(const char *bytes, size_t n)
{
    static const volatile char word[] = {'q' ^ 5, 'u' ^ 5, 'o' ^ 5, 't' ^ 5, 'a' ^ 5};
    if (n < sizeof(word) || bytes[0] != (word[0] ^ 5))
        return false;
    if (bytes[1] != (word[1] ^ 5))
        return false;
    if (bytes[2] != (word[2] ^ 5))
        return false;
    if (bytes[3] != (word[3] ^ 5))
        return false;
    return bytes[4] == (word[4] ^ 5);
}
