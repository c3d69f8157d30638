/*
 * An answer of a server nearby comes after 100 - 150 us, and being woken from sleep adds 20 - 40 us
 * to that. So the answer is first looked for, again and again, with the processor given up in
 * between: the server may need this very core. A server further away is not worth it: the look
 * would end before the answer comes, and be processor time for nothing. Which of them it is shows
 * by itself:
 *
 *     a look ended in vain                 the next one may take half as long, down to nothing
 *     an answer came within most_us        the next one may take most_us again
 *     there is nothing left                one wait of AWAKE_TRIAL is a look of most_us
 *
 * The second counts from when the command was sent, and for answers that were slept for too.
 * Otherwise one slow answer of a server that needs more than half of most_us would end the looks
 * until the next trial: none that is shorter finds its answers. It says nothing about the distance
 * that an answer was already there when it was first looked for, unless so little time had passed:
 * the acknowledgement of a report, which is read long after it was sent, is always there.
 *
 * A trial remains necessary, as an answer that was slept for is seen late by the waking, which may
 * be what keeps it above most_us. One that ends in vain leaves nothing as it was, so a server far
 * away costs at most most_us / AWAKE_TRIAL of each wait: about 3 us of 200.
 */
#include "awake.h"

void awake_init(struct awake *awake, uint32_t most_us)
{
    *awake = (struct awake){.most_us = most_us, .now_us = most_us};
}

uint32_t awake_for(struct awake *awake)
{
    if (awake->now_us > 0)
        return awake->now_us;
    if (++awake->slept < AWAKE_TRIAL)
        return 0;
    awake->slept = 0;
    return awake->most_us;
}

void awake_in_vain(struct awake *awake)
{
    awake->now_us /= 2;
}

void awake_answered(struct awake *awake, int64_t took_us)
{
    if (took_us > awake->most_us)
        return;
    awake->now_us = awake->most_us;
    awake->slept = 0;
}
