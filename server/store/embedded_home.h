/*
 * Where the embedded store lives: its directory, made and locked, the program that was found for it, and what can be
 * learnt there without the process (does somebody answer, what does the log say).
 */
#ifndef RATIOND_EMBEDDED_HOME_H
#define RATIOND_EMBEDDED_HOME_H

struct embedded_home {
    char *dir;     /* state_dir/store, absolute */
    char *socket;  /* dir/redis.sock, or a shorter way to it, for connect */
    char *program; /* what was found in PATH, absolute */
    int dir_fd;
    int lock_fd; /* holds the flock on dir/lock */
};

/* Where a message for people goes. */
struct message {
    char *text;
    unsigned long cap;
};

/* Writes the message; gives -1, so that it can be returned. */
int message_fail(struct message message, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Finds the program, makes the directory, takes the lock. Returns 0, or -1 with a message; then it is closed already. */
int embedded_home_open(struct embedded_home *home, const char *state_dir, struct message message);
/* Gives the lock back. */
void embedded_home_close(struct embedded_home *home);

enum answer { ANSWER_NONE, ANSWER_OTHER, ANSWER_LOADING, ANSWER_PONG };

/* Asks whoever listens at the socket; blocks for half a second at most. */
enum answer embedded_home_ping(const struct embedded_home *home);

/* Opens the log to append to, emptied when it has grown large; -1 and errno. */
int embedded_home_open_log(const struct embedded_home *home);
/* The end of the log on one line. */
void embedded_home_last_words(const struct embedded_home *home, char *text, unsigned long cap);

#endif
