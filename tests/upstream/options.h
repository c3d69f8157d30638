/*
 * The command line of strict-provider. options.c has one table row per option, from which --help is
 * printed.
 */
#ifndef UPSTREAM_OPTIONS_H
#define UPSTREAM_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct options {
    const char *listen;     /* borrowed from argv, like all strings here */
    const char *port_file;  /* NULL: none */
    const char *fault;      /* NULL: none */
    const char *lengths;    /* NULL: made up */
    const char *key;        /* the only valid one; NULL: any */
    const char *aws_secret; /* NULL: signatures are not checked */
    int64_t rpm, tpm;
    int64_t window_ms;
    int64_t latency_ms, latency_per_token_us;
    int64_t seed;
    int64_t max_body, max_in_flight;
    int64_t mode;   /* enum limiter_mode */
    int64_t at_end; /* tokens are counted when a call ends */
    bool settle, count_failed, gzip, verbose;
};

enum options_result {
    OPTIONS_RUN,
    OPTIONS_DONE,  /* --help or --version was printed to stdout */
    OPTIONS_WRONG, /* stderr says what is wrong and what to write instead */
};

enum options_result options_parse(struct options *opt, int argc, char **argv);

#endif
