/* Opening the handle of a command, and saying what went wrong in words that help. */
#include "tool/session.h"

#include "tool/say.h"
#include "tool/table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *session_servers(const struct session *session)
{
    if (session->servers)
        return session->servers;
    const char *servers = getenv("RATION_SERVERS");
    return servers && servers[0] ? servers : "127.0.0.1:7420";
}

/* Reads the first line of the file, without its end. */
static int read_secret(const char *path, char *out, size_t size)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        say("--secret-file %s: %s", path, strerror(errno));
        return EXIT_WRONG;
    }
    bool got = fgets(out, (int)size, file) != NULL;
    bool whole = got && (strchr(out, '\n') || feof(file));
    fclose(file);
    if (got)
        out[strcspn(out, "\r\n")] = '\0';
    if (!whole || !out[0]) {
        say("--secret-file %s: its first line must have 1 - %d bytes", path,
            RATION_MAX_SECRET_BYTES);
        return EXIT_WRONG;
    }
    return EXIT_GRANTED;
}

int session_secret(const struct session *session, char *out, size_t size)
{
    if (session->secret_file)
        return read_secret(session->secret_file, out, size);
    const char *secret = getenv("RATION_SECRET");
    snprintf(out, size, "%s", secret ? secret : "");
    return EXIT_GRANTED;
}

int session_open(const struct session *session, const char *servers, ration **out)
{
    struct ration_options options;
    char secret[RATION_MAX_SECRET_BYTES + 2];
    ration_options_init(&options);
    options.servers = servers ? servers : session_servers(session);
    options.timeout_ms = (uint32_t)session->timeout_ms;
    if (session->secret_file) {
        if (read_secret(session->secret_file, secret, sizeof(secret)) != EXIT_GRANTED)
            return EXIT_WRONG;
        options.secret = secret;
    }
    int err = ration_open(&options, out);
    explicit_bzero(secret, sizeof(secret));
    if (err == RATION_EINVALID)
        say("'%s' is not a list of servers, or RATION_TENANT or RATION_SECRET cannot be sent; a "
            "server is host, host:port, [ipv6]:port or unix:/path",
            options.servers);
    else if (err < 0)
        say("%s", ration_strerror(err));
    return err < 0 ? EXIT_WRONG : EXIT_GRANTED;
}

void session_close(struct session *session)
{
    ration_close(session->r);
    session->r = NULL;
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
        return "is the server there a rationd?";
    case RATION_EUNAVAILABLE:
    case RATION_EBUSY:
        return "try again in a moment; the server's log says more";
    default:
        return NULL;
    }
}

int session_fail(const struct session *session, int err)
{
    const char *message = ration_errmsg(session->r);
    if (err == RATION_ECONNECT)
        say("no server could be reached at %s\nration: %s", session_servers(session), message);
    else
        say("%s", message[0] ? message : ration_strerror(err));
    const char *what_to_do = remedy(err);
    if (what_to_do)
        say("%s", what_to_do);
    return EXIT_WRONG;
}

bool session_probe(const struct session *session, const char *pool, const char *tenant)
{
    struct ration_limit_row *rows = NULL;
    size_t n = 0;
    int err = ration_peek(session->r, pool, tenant, &rows, &n);
    if (err < 0)
        session_fail(session, err);
    ration_rows_free(rows);
    return err == RATION_OK;
}

int session_denied(const struct ration_grant *grant)
{
    if (grant->retry_after_ms == RATION_RETRY_NEVER)
        say("denied by %s: it is more than the limit can ever hold; ask for less",
            grant->limited_by);
    else
        say("denied by %s: come back in %s", grant->limited_by,
            as_duration(grant->retry_after_ms).s);
    return EXIT_DENIED;
}
