/*
 * Preloaded into rationd: a moment between its bind() and its listen(), in which its socket looks
 * like one that nobody listens at.
 */
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

int listen(int fd, int backlog)
{
    poll(0, 0, 30);
    return (int)syscall(SYS_listen, fd, backlog);
}
