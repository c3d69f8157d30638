/* What all parts of `ration batch` share: the words for how requests end, a hash. */
#include "tool/batch/batch.h"

const char *const batch_class_words[] = {
#define BATCH_CLASS_WORD(upper, word, text) word,
    BATCH_CLASSES(BATCH_CLASS_WORD)
#undef BATCH_CLASS_WORD
};

const char *const batch_class_texts[] = {
#define BATCH_CLASS_TEXT(upper, word, text) text,
    BATCH_CLASSES(BATCH_CLASS_TEXT)
#undef BATCH_CLASS_TEXT
};

_Static_assert((int)BATCH_ANSWERED == (int)RATION_ANSWERED &&
                   (int)BATCH_LIMITED == (int)RATION_LIMITED &&
                   (int)BATCH_EXHAUSTED == (int)RATION_EXHAUSTED &&
                   (int)BATCH_OVERLOADED == (int)RATION_OVERLOADED &&
                   (int)BATCH_FAILED == (int)RATION_FAILED &&
                   (int)BATCH_TIMED_OUT == (int)RATION_TIMED_OUT &&
                   (int)BATCH_UNREACHED == (int)RATION_UNREACHED &&
                   (int)BATCH_REFUSED == (int)RATION_REFUSED,
               "the classes are the library's outcomes");

uint64_t batch_hash(uint64_t hash, const void *data, size_t n)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}
