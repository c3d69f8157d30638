/*
 * A limit: so much of a unit per period, and the set of limits that one bucket enforces.
 *
 * Sets are made by the configuration, immutable afterwards, and live as long as the configuration
 * that made them.
 */
#ifndef RATIOND_LIMIT_H
#define RATIOND_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ration/protocol.h>

struct zone;

/* The numbers are part of the script's input format. */
enum limit_algorithm {
    LIMIT_BUCKET = 0,     /* token bucket: capacity `burst`, refilled at `amount` per period */
    LIMIT_ROLLING = 1,    /* at most `amount` in any window of one period */
    LIMIT_CALENDAR = 2,   /* at most `amount` per day or month of a time zone */
    LIMIT_CONCURRENT = 3, /* at most `amount` reservations at once */
};

enum calendar_period { CALENDAR_DAY, CALENDAR_MONTH };

struct limit {
    enum ration_unit unit;
    enum limit_algorithm algorithm;
    int64_t amount;   /* 1 - RATION_MAX_AMOUNT, in the unit */
    int64_t capacity; /* the most it holds: `burst` of a bucket, else `amount` */
    /* held back from each priority, in the unit; 0 except in pools with hold_back */
    int64_t held_back[RATION_PRIORITIES];
    uint64_t per_ms; /* the period; 0 for concurrent; nominal (86400000, 2592000000) for calendar */
    uint32_t slack_ms;       /* rolling: how much longer each slot stays */
    bool counted_end;        /* the provider counts when the call ends */
    bool settle;             /* the unused part of an estimate is given back */
    const struct zone *zone; /* calendar: whose midnight; else NULL */
    enum calendar_period calendar;
    char per[24]; /* as configured: "minute", "10s"; "" for concurrent */
};

struct limit_set {
    size_t n;
    struct limit limits[]; /* n of them */
};

/* Does the set need time slots (a second key) beside its levels? True for rolling and concurrent
 * limits, and for those counted at the end. */
bool limit_set_has_slots(const struct limit_set *set);

/* "tokens" of RATION_UNIT_TOKENS. */
const char *limit_unit_name(enum ration_unit unit);

/* "minute" of "tokens/minute", for people: "tokens/minute", "concurrent", "requests/day". Returns
 * the length. */
int limit_label(const struct limit *limit, char *buf, size_t cap);

#endif
