/*
 * A wall clock under the test's control: preloaded into a process, it gives the time that the test
 * has written into a file which both have mapped.
 *
 *     TEST_CLOCK_FILE   two int64 in this host's byte order: microseconds since 1970 at which the
 *                       clock stands still (0: it runs), and microseconds added to the real time
 *                       while it runs
 *
 * Only the wall clock is changed. Timers and timeouts use the monotonic clock, so a process whose
 * clock stands still serves as usual.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct shared {
    volatile int64_t still_us;
    volatile int64_t added_us;
};

static const struct shared none;
static const struct shared *shared;

static const struct shared *map_clock(void)
{
    const char *path = getenv("TEST_CLOCK_FILE");
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return &none;
    void *at = mmap(NULL, sizeof(struct shared), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    return at != MAP_FAILED ? at : &none;
}

static int64_t now_us(void)
{
    struct timespec real;
    if (shared == NULL) {
        int kept = errno;
        shared = map_clock();
        errno = kept;
    }
    if (shared->still_us != 0)
        return shared->still_us;
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &real);
    return (int64_t)real.tv_sec * 1000000 + real.tv_nsec / 1000 + shared->added_us;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    int64_t us = now_us();
    (void)zone;
    tv->tv_sec = us / 1000000;
    tv->tv_usec = us % 1000000;
    return 0;
}

int clock_gettime(clockid_t clock, struct timespec *ts)
{
    if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)
        return (int)syscall(SYS_clock_gettime, clock, ts);
    int64_t us = now_us();
    ts->tv_sec = us / 1000000;
    ts->tv_nsec = us % 1000000 * 1000;
    return 0;
}

time_t time(time_t *to)
{
    time_t seconds = now_us() / 1000000;
    if (to != NULL)
        *to = seconds;
    return seconds;
}
