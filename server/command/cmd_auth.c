/*
 * AUTH [name] secret
 * HELLO [2|3 [AUTH name secret] [SETNAME name]]
 * RESET
 *
 * The operator's secret allows everything; a tenant's, if it has one, allows acting for that tenant
 * only. Secrets are compared in a time that does not depend on how much of them was right, and the
 * log says who failed, never with what. A reload that changes secrets leaves connections as they
 * are.
 */
#include <stdlib.h>
#include <string.h>

#include "command/arguments.h"
#include "command/command.h"
#include "config/config.h"
#include "log.h"
#include "net/conn.h"
#include "version.h"
#include "worker.h"

static bool secret_is(const char *expected, const struct arg *given)
{
    /* The time taken must not reveal to a guesser that a name has no secret. */
    const char *secret = expected != NULL ? expected : "no secret has this value";
    size_t n = strlen(secret);
    volatile unsigned char difference = expected == NULL || n != given->n;
    for (size_t i = 0; i < given->n; i++)
        difference |= (unsigned char)given->p[i] ^ (unsigned char)(n > 0 ? secret[i % n] : 1);
    return difference == 0;
}

static void become(struct conn *conn, enum conn_auth auth, struct identity *tenant)
{
    free(conn->tenant);
    conn->tenant = tenant;
    conn->auth = auth;
}

static bool is_operator(const struct arg *name)
{
    return name == NULL || argument_is(name, "operator") || argument_is(name, "default");
}

/* Returns true, or false if the request has been answered. name NULL: the operator. */
static bool authenticate(struct request *r, const struct arg *name, const struct arg *secret)
{
    const struct config *config = r->worker->config;
    char peer[CONN_PEER_BYTES], shown[RESP_SHOW_BYTES] = "operator";
    if (!config->auth_required) {
        request_error(r, RATION_ERR_MALFORMED,
                      "AUTH was sent, but no credential is configured on this server; connect "
                      "without one");
        return false;
    }
    const struct config_tenant *tenant = NULL;
    const char *expected = config->operator_secret;
    if (!is_operator(name)) {
        tenant = config_tenant(config, name->p, name->n);
        expected = tenant != NULL ? tenant->secret : NULL;
    }
    if (!secret_is(expected, secret)) {
        if (name != NULL)
            resp_show(shown, name->p, name->n);
        log_warn("authentication failed", "peer=%s name=\"%s\"", conn_peer(r->conn, peer), shown);
        request_error(r, RATION_ERR_NOPERM, "invalid name or secret");
        return false;
    }
    struct identity *who = NULL;
    if (tenant != NULL && (who = identity_new(name->p, name->n)) == NULL) {
        request_error(r, RATION_ERR_BUSY, "out of memory");
        return false;
    }
    become(r->conn, tenant != NULL ? AUTH_TENANT : AUTH_OPERATOR, who);
    return true;
}

void cmd_auth(struct request *r, const struct arg *args, size_t n)
{
    if (authenticate(r, n == 3 ? &args[1] : NULL, &args[n - 1]))
        resp_simple(request_out(r), "OK");
}

static void write_hello(struct request *r)
{
    struct buf *out = request_out(r);
    resp_map(out, r->resp, 7);
    resp_text(out, "server");
    resp_text(out, "ration");
    resp_text(out, "version");
    resp_text(out, RATION_VERSION);
    resp_text(out, "proto");
    resp_integer(out, r->resp);
    resp_text(out, "id");
    resp_integer(out, (int64_t)r->conn->id);
    resp_text(out, "mode");
    resp_text(out, "standalone");
    resp_text(out, "role");
    resp_text(out, "master");
    resp_text(out, "modules");
    resp_array(out, 0);
}

void cmd_hello(struct request *r, const struct arg *args, size_t n)
{
    const struct arg *name = NULL, *secret = NULL, *own_name = NULL;
    int64_t version = r->conn->resp;
    if (n > 1 && !argument_number(&args[1], 2, 3, &version)) {
        request_error(r, "NOPROTO", "unsupported protocol version; this server speaks 2 and 3");
        return;
    }
    for (size_t i = 2; i < n;) {
        if (argument_is(&args[i], "AUTH") && i + 2 < n) {
            name = &args[i + 1];
            secret = &args[i + 2];
            i += 3;
        } else if (argument_is(&args[i], "SETNAME") && i + 1 < n) {
            own_name = &args[i + 1];
            i += 2;
        } else {
            command_usage(r, "after the version come AUTH name secret or SETNAME name");
            return;
        }
    }
    if (secret != NULL && !authenticate(r, name, secret))
        return;
    if (own_name != NULL && !conn_set_name(r->conn, own_name->p, own_name->n)) {
        command_usage(r, "a connection's name is printable ASCII without spaces, at most %d bytes",
                      CONN_MAX_NAME_BYTES);
        return;
    }
    r->resp = r->conn->resp = (uint8_t)version;
    write_hello(r);
}

void cmd_reset(struct request *r, const struct arg *args, size_t n)
{
    (void)args;
    (void)n;
    become(r->conn, AUTH_NONE, NULL);
    conn_set_name(r->conn, "", 0);
    r->resp = r->conn->resp = 2;
    resp_simple(request_out(r), "RESET");
}
