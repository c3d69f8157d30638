/*
 * Counts a process's allocations: preloaded, it increments a number in a file, which the test has
 * mapped too, for each malloc, calloc and realloc.
 *
 *     TEST_ALLOCATIONS_FILE   one uint64 in this host's byte order
 *
 * A sanitizer replaces these functions by its own and calls a hook for each (-DSANITIZED); any
 * other program gets those below.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static _Atomic uint64_t *count;

static void one_more(void)
{
    if (count != NULL)
        atomic_fetch_add(count, 1);
}

#ifdef SANITIZED

int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *, size_t),
                                              void (*on_free)(const volatile void *));

static void on_malloc(const volatile void *at, size_t size)
{
    (void)at, (void)size;
    one_more();
}

static void on_free(const volatile void *at)
{
    (void)at;
}

static int install(void)
{
    return __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free) != 0;
}

#else

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *at, size_t size);

void *malloc(size_t size)
{
    one_more();
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    one_more();
    return __libc_calloc(n, size);
}

void *realloc(void *at, size_t size)
{
    one_more();
    return __libc_realloc(at, size);
}

static int install(void)
{
    return 1;
}

#endif

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("TEST_ALLOCATIONS_FILE");
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *at = mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at != MAP_FAILED && install())
        count = at;
}
