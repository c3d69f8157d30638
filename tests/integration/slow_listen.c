/*
 * Preloaded into rationd: delays its listen() after bind(), so that its socket looks for a moment
 * like one that nobody listens on.
 */
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

int listen(int fd, int backlog)
{
    poll(0, 0, 30);
    return (int)syscall(SYS_listen, fd, backlog);
}
