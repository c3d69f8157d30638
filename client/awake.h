/*
 * For how long a thread stays awake for an answer before it goes to sleep. Pure: no clock, no
 * socket. awake.c has the rule and its reasons.
 */
#ifndef RATION_AWAKE_H
#define RATION_AWAKE_H

#include <stdint.h>

/* Where answers come too late to be looked for, one wait of so many is a trial. */
#define AWAKE_TRIAL 64

struct awake {
    uint32_t most_us; /* the longest look; 0: never */
    uint32_t now_us;  /* the next one; 0: none, except for a trial */
    uint32_t slept;   /* waits without a look since now_us became 0, or since the last trial */
};

/* As for a server that nothing is known of yet. */
void awake_init(struct awake *awake, uint32_t most_us);

/* Asked once before each wait: for how long it may look; 0: sleep at once. */
uint32_t awake_for(struct awake *awake);

/* That look ended without an answer. */
void awake_in_vain(struct awake *awake);

/* The answer came, so long after the command had been sent, whether or not it was looked for. */
void awake_answered(struct awake *awake, int64_t took_us);

#endif
