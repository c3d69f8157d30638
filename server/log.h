/*
 * Logging: one line an event on stderr, key=value, outside bytes escaped, never a secret.
 *
 *     log_info("connection closed", "peer=%s reason=%s", peer, reason);
 *     2026-11-22T17:40:01.123Z info connection closed peer=127.0.0.1:1234 reason=eof
 */
#ifndef RATIOND_LOG_H
#define RATIOND_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

void log_set_level(enum log_level level);
/* Reads "debug", "info", "warn" or "error"; false: none of these. */
bool log_level_parse(const char *word, enum log_level *out);
void log_line(enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...)  log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)

#endif
