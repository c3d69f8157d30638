/*
 * The embedded store's home: its directory, created and locked, its program, and what can be
 * learned there without the process (does anybody answer, what does the log say).
 */
#ifndef RATIOND_EMBEDDED_HOME_H
#define RATIOND_EMBEDDED_HOME_H

struct embedded_home {
    char *dir;     /* state_dir/store, absolute */
    char *socket;  /* dir/redis.sock, or a shorter path to it, for connect */
    char *program; /* as found in PATH, absolute */
    int dir_fd;
    int lock_fd; /* holds the flock on dir/lock */
};

/* Where to write a message for people. */
struct message {
    char *text;
    unsigned long cap;
};

/* Writes the message; returns -1, for the caller to return. */
int message_fail(struct message message, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Finds the program, makes the directory, takes the lock. Returns 0, or -1 with a message; then
 * there is nothing to close. */
int embedded_home_open(struct embedded_home *home, const char *state_dir, struct message message);
/* Releases the lock. */
void embedded_home_close(struct embedded_home *home);

enum answer { ANSWER_NONE, ANSWER_OTHER, ANSWER_LOADING, ANSWER_PONG };

/* Asks whoever listens at the socket; blocks for at most half a second. */
enum answer embedded_home_ping(const struct embedded_home *home);

/* Opens the log for appending, emptied first if it has grown large; -1 with errno. */
int embedded_home_open_log(const struct embedded_home *home);
/* The end of the log on one line. */
void embedded_home_last_words(const struct embedded_home *home, char *text, unsigned long cap);

#endif
