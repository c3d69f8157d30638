/* `ration pool`: the health of a pool as every host knows it, and how an operator closes and opens
 * it. */
#include "tool/object.h"
#include "tool/options.h"
#include "tool/say.h"
#include "tool/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static bool find_action(const char *word, enum ration_pool_action *action)
{
    static const char *const words[] = {"show", "open", "close"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(words[i], word) == 0) {
            *action = (enum ration_pool_action)i;
            return true;
        }
    }
    return false;
}

static void print_json(const char *pool, const struct ration_pool_state *state)
{
    json_object *o = json_object_new_object();
    object_put_string(o, "pool", pool);
    object_put_string(o, "state", state->state);
    object_put_string(o, "reason", state->reason);
    object_put_integer(o, "until_ms", state->until_ms);
    object_put_integer(o, "failures", state->failures);
    object_put_integer(o, "reports", state->reports);
    object_put_integer(o, "cool_down_ms", state->cool_down_ms);
    object_print(o);
}

/* The date is by this machine's clock, to the nearest minute: it is for people and decides
 * nothing. */
static void print_until(int64_t ms)
{
    char date[32];
    struct tm tm;
    time_t at = time(NULL) + (time_t)((ms + 30000) / 1000);
    printf("; it opens by itself in %s", as_duration(ms).s);
    if (gmtime_r(&at, &tm) && strftime(date, sizeof(date), "%Y-%m-%d %H:%M UTC", &tm) > 0)
        printf(" (%s)", date);
}

static void print_text(const char *pool, const struct ration_pool_state *state)
{
    printf("%s is %s", pool, state->state);
    if (state->reason[0]) {
        printf(": %s", state->reason);
        if (state->until_ms > 0)
            print_until(state->until_ms);
        printf("; 'ration pool open %s' ends it", pool);
    } else if (state->until_ms > 0)
        printf(" for %" PRId64 " ms", state->until_ms);
    else if (strcmp(state->state, RATION_POOL_CIRCUIT) == 0)
        printf("; the next call is let through to try");
    if (state->reports > 0)
        printf("; %" PRId64 " of the last %" PRId64 " calls failed", state->failures,
               state->reports);
    puts("");
}

static struct {
    const char *action;
    const char *pool;
    const char *reason;
} args;

static int run(struct session *session)
{
    enum ration_pool_action action = RATION_POOL_SHOW;
    struct ration_pool_state state;
    if (!find_action(args.action, &action)) {
        say("pool takes show, open or close, not '%s'", args.action);
        return EXIT_WRONG;
    }
    int err = ration_pool(session->r, args.pool, action, args.reason, &state);
    if (err < 0)
        return session_fail(session, err);
    (session->json ? print_json : print_text)(args.pool, &state);
    const char *wanted = action == RATION_POOL_DO_CLOSE ? RATION_POOL_CLOSED : RATION_POOL_OPEN;
    return strcmp(state.state, wanted) == 0 ? EXIT_GRANTED : EXIT_DENIED;
}

const struct command command_pool = {
    .name = "pool",
    .summary = "show the health of a pool; close it, or open it again",
    .synopsis = "show|open|close POOL [REASON] [options]",
    .about = "Shows what every host knows of a pool: open; paused, because the provider said when "
             "to come back; circuit or probing, because too many calls failed; or closed, because "
             "no wait will help or an operator said so: until 'open', or until the date that the "
             "provider named.\n\n"
             "'close' closes it for everybody, and its calls are denied with the REASON (one "
             "word); 'open' opens it again, and forgets pauses and failures.",
    .exits = "0 it is open (after 'close': it is closed), 1 it is not, 2 an error",
    .arguments = {{&args.action, "show, open or close"},
                  {&args.pool, "the name of a pool"},
                  {&args.reason, NULL}},
    .run = run,
};
