/*
 * `ration exec`: acquire, run a command, report.
 *
 * Normal path: the reservation is granted, the command runs with RATION_ID in its environment, the
 * reservation is renewed every third of its life, and when the command ends the call is reported as
 * estimated. A command that knows more reports itself (`ration report $RATION_ID --tokens N`); our
 * report is then a duplicate and changes nothing.
 *
 * How it fails:
 *   - denied: the command is not run; --wait-max sits out waits that fit
 *   - the command cannot be started: the reservation is cancelled, and the exit status is the
 *     shell's, 127 or 126
 *   - the command fails or is killed: reported all the same, since it may well have called the
 *     provider
 *   - this process is killed: the reservation expires with its charge
 * Signals are taken one at a time with sigtimedwait(), so there is no handler and no race. They are
 * passed on to the command, except those that the terminal has sent to both.
 */
#include "tool/options.h"
#include "tool/say.h"

#include "clock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEFAULT_TTL_MS 60000

static struct {
    const char *pool;
    const char *tenant;
    struct ration_amounts amounts;
    int64_t priority;
    int64_t ttl_ms;
    double wait_max_s;
    char **argv; /* of the command */
} args = {.priority = -1, .ttl_ms = DEFAULT_TTL_MS};

static const int passed_on[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM,
                                SIGUSR1, SIGUSR2, SIGCONT, SIGWINCH};

/* Asks until it is granted, the wait no longer fits, or something goes wrong. Gives an exit
 * code. */
static int acquire(const struct session *session, struct ration_grant *grant)
{
    struct ration_acquire_options options;
    ration_acquire_options_init(&options);
    options.priority = (int32_t)args.priority;
    options.ttl_ms = (uint32_t)args.ttl_ms;
    int64_t give_up_ms = clock_ms() + (int64_t)(args.wait_max_s * 1000);
    for (;;) {
        int err =
            ration_acquire(session->r, args.pool, args.tenant, &args.amounts, &options, grant);
        if (err < 0)
            return session_fail(session, err);
        if (grant->granted)
            return EXIT_GRANTED;
        int64_t wait = grant->retry_after_ms > 0 ? grant->retry_after_ms : 1;
        if (grant->retry_after_ms == RATION_RETRY_NEVER || clock_ms() + wait > give_up_ms)
            return session_denied(grant);
        clock_wait_until(clock_ms() + wait);
    }
}

/* ---- The command ---- */

static void block_signals(sigset_t *ours, sigset_t *before)
{
    sigemptyset(ours);
    sigaddset(ours, SIGCHLD);
    for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++)
        sigaddset(ours, passed_on[i]);
    sigprocmask(SIG_BLOCK, ours, before);
    signal(SIGCHLD, SIG_DFL); /* if our parent ignored it, we would never get it */
}

/* Runs in the child. A failure to exec goes through the pipe, which a successful exec closes. */
static void become(const char *id, const sigset_t *mask, int tell)
{
    sigprocmask(SIG_SETMASK, mask, NULL);
    if (setenv("RATION_ID", id, 1) == 0)
        execvp(args.argv[0], args.argv);
    int error = errno;
    if (write(tell, &error, sizeof(error)) < 0)
        _exit(126);
    _exit(error == ENOENT ? 127 : 126);
}

/* Starts the command. 0 and its pid, or the errno of what went wrong. */
static int start(const char *id, const sigset_t *mask, pid_t *pid)
{
    int pipe_fd[2];
    if (pipe2(pipe_fd, O_CLOEXEC) < 0)
        return errno;
    *pid = fork();
    if (*pid == 0)
        become(id, mask, pipe_fd[1]);
    int error = *pid < 0 ? errno : 0;
    close(pipe_fd[1]);
    if (*pid > 0 && read(pipe_fd[0], &error, sizeof(error)) == (ssize_t)sizeof(error))
        waitpid(*pid, NULL, 0);
    close(pipe_fd[0]);
    return error;
}

static void renew(ration *r, const char *id, bool *said)
{
    struct ration_grant grant;
    int err = ration_renew(r, id, (uint32_t)args.ttl_ms, NULL, &grant);
    if (err < 0 && !*said) {
        say("the reservation was not renewed: %s", ration_errmsg(r));
        *said = true;
    }
}

/* Waits for the command, renewing on the way. Gives its status as waitpid() does. */
static int attend(ration *r, const char *id, const sigset_t *ours, pid_t pid)
{
    bool said = false;
    int status = 0;
    int64_t renew_at = clock_ms() + args.ttl_ms / 3;
    for (;;) {
        int64_t left = renew_at - clock_ms();
        if (left <= 0) {
            renew(r, id, &said);
            renew_at = clock_ms() + args.ttl_ms / 3;
            continue;
        }
        struct timespec ts = {.tv_sec = (time_t)(left / 1000),
                              .tv_nsec = (long)(left % 1000) * 1000000};
        siginfo_t info;
        int sig = sigtimedwait(ours, &info, &ts);
        if (sig == SIGCHLD) {
            if (waitpid(pid, &status, WNOHANG) == pid)
                return status;
        } else if (sig > 0 && info.si_code != SI_KERNEL) {
            kill(pid, sig);
        }
    }
}

static int run(struct session *session)
{
    ration *r = session->r;
    struct ration_grant grant;
    if (!args.argv[0]) {
        say("exec needs a command after --; see 'ration exec --help'");
        return EXIT_WRONG;
    }
    int code = acquire(session, &grant);
    if (code != EXIT_GRANTED)
        return code;
    sigset_t ours;
    sigset_t before;
    pid_t pid = 0;
    block_signals(&ours, &before);
    int error = start(grant.id, &before, &pid);
    int err = 0;
    if (error) {
        say("%s: %s", args.argv[0], strerror(error));
        err = ration_cancel(r, grant.id, NULL);
        code = error == ENOENT ? 127 : 126;
    } else {
        int status = attend(r, grant.id, &ours, pid);
        err = ration_report(r, grant.id, NULL, NULL, NULL);
        code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    }
    if (err < 0)
        say("the reservation was not settled and keeps its charge: %s", ration_errmsg(r));
    return code;
}

static const struct option_row options[] = {
    WHO_ROWS,
    UNIT_ROWS,
    CONCURRENT_ROW,
    PRIORITY_ROW,
    WHOLE("ttl", ttl_ms, 1000, RATION_MAX_TTL_MS, "MS",
          "life of the reservation, renewed while the command runs; default 60000"),
    DECIMAL("wait-max", wait_max_s, 0, 86400, "SECONDS", "sit out denials for up to this long"),
    {0},
};

const struct command command_exec = {
    .name = "exec",
    .summary = "run a command under a reservation",
    .synopsis = "--pool POOL --tenant TENANT [options] -- COMMAND [ARG]...",
    .about = "Asks for one call, runs COMMAND if it is granted, and reports the call as estimated "
             "when COMMAND ends. COMMAND finds the reservation's id in RATION_ID and may itself "
             "report what it really used.",
    .exits = "COMMAND's; 128 + n if signal n ended it; 127 if it is not found. Also 1 if denied "
             "and 2 for an error, with COMMAND not run and the reason on stderr",
    .options = options,
    .arguments = {{&args.pool, "--pool"}, {&args.tenant, "--tenant"}},
    .rest = &args.argv,
    .run = run,
};
