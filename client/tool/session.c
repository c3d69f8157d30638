/* Opening a handle for a subcommand, and saying in words that help why something did not work. */
#include "tool/tool.h"

#include "tool/table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *tool_servers(const struct tool *tool)
{
    if (tool->servers)
        return tool->servers;
    const char *servers = getenv("RATION_SERVERS");
    return servers && servers[0] ? servers : "127.0.0.1:7420";
}

/* The first line of the file, without its end. */
static int read_secret(const char *path, char *out, size_t size)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        fprintf(stderr, "ration: --secret-file %s: %s\n", path, strerror(errno));
        return EXIT_WRONG;
    }
    bool got = fgets(out, (int)size, file) != NULL;
    bool whole = got && (strchr(out, '\n') || feof(file));
    fclose(file);
    if (got)
        out[strcspn(out, "\r\n")] = '\0';
    if (!whole || !out[0]) {
        fprintf(stderr, "ration: --secret-file %s: its first line must have 1 - %d bytes\n", path,
                RATION_MAX_SECRET_BYTES);
        return EXIT_WRONG;
    }
    return EXIT_GRANTED;
}

int tool_secret(const struct tool *tool, char *out, size_t size)
{
    if (tool->secret_file)
        return read_secret(tool->secret_file, out, size);
    const char *secret = getenv("RATION_SECRET");
    snprintf(out, size, "%s", secret ? secret : "");
    return EXIT_GRANTED;
}

int tool_open(const struct tool *tool, const char *servers, ration **out)
{
    struct ration_options options;
    char secret[RATION_MAX_SECRET_BYTES + 2];
    ration_options_init(&options);
    options.servers = servers ? servers : tool_servers(tool);
    options.timeout_ms = (uint32_t)tool->timeout_ms;
    if (tool->secret_file) {
        if (read_secret(tool->secret_file, secret, sizeof(secret)) != EXIT_GRANTED)
            return EXIT_WRONG;
        options.secret = secret;
    }
    int err = ration_open(&options, out);
    explicit_bzero(secret, sizeof(secret));
    if (err == RATION_EINVALID)
        fprintf(stderr,
                "ration: '%s' is no list of servers, or RATION_TENANT or RATION_SECRET is not fit "
                "to be sent; "
                "a server is host, host:port, [ipv6]:port or unix:/path\n",
                options.servers);
    else if (err < 0)
        fprintf(stderr, "ration: %s\n", ration_strerror(err));
    return err < 0 ? EXIT_WRONG : EXIT_GRANTED;
}

static const char *remedy(int err)
{
    switch (err) {
    case RATION_ECONNECT:
    case RATION_ETIMEOUT:
        return "is a server running there? 'rationd' starts one; --server or RATION_SERVERS names "
               "another";
    case RATION_ENOAUTH:
        return "set RATION_TENANT and RATION_SECRET, or use --secret-file";
    case RATION_ENOPERM:
        return "use that tenant's own credential";
    case RATION_ENOSUCH:
        return "was it settled long ago, or granted by another server's store?";
    case RATION_EPROTOCOL:
        return "is it a rationd that listens there?";
    case RATION_EUNAVAILABLE:
    case RATION_EBUSY:
        return "try again in a moment; the server's log says more";
    default:
        return NULL;
    }
}

int tool_fail(const struct tool *tool, const ration *r, int err)
{
    const char *message = ration_errmsg(r);
    if (err == RATION_ECONNECT)
        fprintf(stderr, "ration: no server could be reached at %s\nration: %s\n",
                tool_servers(tool), message);
    else
        fprintf(stderr, "ration: %s\n", message[0] ? message : ration_strerror(err));
    const char *what_to_do = remedy(err);
    if (what_to_do)
        fprintf(stderr, "ration: %s\n", what_to_do);
    return EXIT_WRONG;
}

int tool_denied(const struct ration_grant *grant)
{
    char wait[32];
    if (grant->retry_after_ms == RATION_RETRY_NEVER) {
        fprintf(stderr,
                "ration: denied by %s: it is more than the limit can ever hold; ask for less\n",
                grant->limited_by);
    } else {
        format_duration(grant->retry_after_ms, wait, sizeof(wait));
        fprintf(stderr, "ration: denied by %s: come back in %s\n", grant->limited_by, wait);
    }
    return EXIT_DENIED;
}

bool tool_wants(const char *command, const char *what, const char *value)
{
    if (value)
        return true;
    fprintf(stderr, "ration: %s needs %s; see 'ration %s --help'\n", command, what, command);
    return false;
}
