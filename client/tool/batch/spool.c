#include "tool/batch/spool.h"

#include "tool/say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BYTES (1u << 20)

static bool copy_all(int from, int to)
{
    char *buf = malloc(READ_BYTES);
    ssize_t n = -1;
    while (buf && (n = read(from, buf, READ_BYTES)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break;
        for (ssize_t at = 0; at < n;) {
            ssize_t put = write(to, buf + at, (size_t)(n - at));
            if (put < 0) {
                free(buf);
                return false;
            }
            at += put;
        }
    }
    free(buf);
    return n == 0;
}

/* What can be read only once goes to a file without a name. */
static int spool(int fd)
{
    const char *folder = getenv("TMPDIR");
    char path[4096];
    int n = snprintf(path, sizeof(path), "%s/ration-batch-XXXXXX",
                     folder && folder[0] ? folder : "/tmp");
    if (n < 0 || (size_t)n >= sizeof(path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int spooled = mkostemp(path, O_CLOEXEC);
    if (spooled < 0)
        return -1;
    unlink(path);
    if (!copy_all(fd, spooled)) {
        int kept = errno;
        close(spooled);
        errno = kept;
        return -1;
    }
    return spooled;
}

int batch_spool_open(const char **name)
{
    bool from_stdin = strcmp(*name, "-") == 0;
    struct stat st;
    if (from_stdin)
        *name = "stdin";
    int fd = from_stdin ? STDIN_FILENO : open(*name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        say("%s: %s", *name, strerror(errno));
        if (fd > STDIN_FILENO)
            close(fd);
        return -1;
    }
    if (S_ISREG(st.st_mode))
        return fd;
    int copy = spool(fd);
    if (copy < 0)
        say("%s is not a regular file and cannot be copied to TMPDIR: %s; save it to a file first",
            *name, strerror(errno));
    if (!from_stdin)
        close(fd);
    return copy;
}
