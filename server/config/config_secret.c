/*
 * Credentials: {"file": path} or {"env": NAME}, never in the document itself and never on the
 * command line.
 *
 * A file holds the secret, perhaps followed by a newline. Its path is relative to the folder in
 * which rationd was started. A file that cannot be read is a problem of the document; one that
 * everyone on this host may read is only warned about, because containers often mount them like
 * that.
 */
#include "config/config_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Room for the longest secret, its newline, and a byte that reveals that there is more. */
#define FILE_BYTES (RATION_MAX_SECRET_BYTES + 3)

static char *accept_secret(const struct section *section, const char *key, char *text, size_t n)
{
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
        n--;
    if (n == 0 || n > RATION_MAX_SECRET_BYTES) {
        section_problem(section, key, "the secret is %s; use 1 to %d bytes",
                        n == 0 ? "empty" : "too long", RATION_MAX_SECRET_BYTES);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
            section_problem(section, key,
                            "the secret has a control character inside; use one line of text");
            return NULL;
        }
    }
    return config_copy(section->reader->config, text, n);
}

static void note_open_file(struct reader *reader, const char *path, const struct stat *status)
{
    if ((status->st_mode & S_IROTH) == 0)
        return;
    if (reader->n_open_files++ == 0)
        reader->open_file = config_copy(reader->config, path, strlen(path));
}

static char *read_file(const struct section *section, const char *path)
{
    char quoted[CONFIG_QUOTED_BYTES];
    config_quote(quoted, path, strlen(path));
    /* Non-blocking: the path may be a pipe that nobody writes to. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        section_problem(section, "file",
                        "cannot read %s: %s; name a file that rationd's user may read", quoted,
                        strerror(errno));
        return NULL;
    }
    char text[FILE_BYTES];
    struct stat status;
    ssize_t n = -1;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
        n = read(fd, text, sizeof text);
    close(fd);
    if (n < 0) {
        section_problem(section, "file", "cannot read %s: it is not a regular file; name one",
                        quoted);
        return NULL;
    }
    note_open_file(section->reader, path, &status);
    char *secret = accept_secret(section, "file", text, (size_t)n);
    explicit_bzero(text, sizeof text);
    return secret;
}

static char *read_variable(const struct section *section, const char *name)
{
    char quoted[CONFIG_QUOTED_BYTES];
    const char *value = getenv(name);
    if (value == NULL) {
        section_problem(section, "env",
                        "there is no environment variable %s; set it before rationd starts, or "
                        "use {\"file\": \"/path\"}",
                        config_quote(quoted, name, strlen(name)));
        return NULL;
    }
    char *copy = config_copy(section->reader->config, value, strlen(value));
    return accept_secret(section, "env", copy, strlen(copy));
}

char *config_read_secret(const struct section *section, const char *key)
{
    struct json_object *value;
    if (!section_find(section, key, &value))
        return NULL;
    if (json_object_is_type(value, json_type_string)) {
        section_problem(section, key,
                        "a secret must not be in the configuration; use {\"file\": \"/path\"} "
                        "or {\"env\": \"NAME\"}");
        return NULL;
    }
    struct config_place at = section_place(section, key);
    struct section source;
    section_open(&source, section->reader, &at, value, "<secret>");
    if (source.object == NULL)
        return NULL;
    bool file = section_has(&source, "file");
    if (file == section_has(&source, "env")) {
        section_problem(section, key, "%s; use {\"file\": \"/path\"} or {\"env\": \"NAME\"}",
                        file ? "both a file and an environment variable"
                             : "names no place to read it from");
        return NULL;
    }
    const char *where = section_string(&source, file ? "file" : "env");
    if (where == NULL)
        return NULL;
    return file ? read_file(&source, where) : read_variable(&source, where);
}
