#!/bin/sh
# Fuzzes for a given time, from a fresh checkout:
#
#     sh tests/fuzz/run.sh [--seconds N] [--jobs N] [TARGET]...
#
#     --seconds N   how long to run each target (default 300)
#     --jobs N      how many targets to run at once (default 2)
#     TARGET        resp, sse, ... (default: all)
#
# Builds the preset `fuzz`, then runs each target over its seeds and what earlier runs have found,
# showing its progress and a table at the end. An input that fails is kept in build/fuzz/crashes;
# once the bug is fixed, it belongs into tests/fuzz/seeds/TARGET. New inputs are in
# build/fuzz/corpus, which may be deleted at any time.
#
# Exit status: 0 all clean, 1 some input failed, 2 wrong command line or the build failed.
set -u
cd "$(dirname "$0")/../.."
. server/packages.sh

seconds=300
jobs=2
targets=
build=build/fuzz

usage() {
    echo "tests/fuzz/run.sh: $1; --help shows the usage" >&2
    exit 2
}

is_number() {
    case $1 in
    '' | *[!0-9]* | 0*) return 1 ;;
    esac
}

while [ $# -gt 0 ]; do
    case $1 in
    --seconds | --jobs)
        is_number "${2-}" || usage "$1 needs a number"
        [ "$1" = --seconds ] && seconds=$2 || jobs=$2
        shift
        ;;
    --help | -h)
        sed -n '2,/^set /{/^#/!d;s/^# \{0,1\}//;p}' tests/fuzz/run.sh
        exit 0
        ;;
    -*) usage "'$1' is not an option" ;;
    *)
        [ -d "tests/fuzz/seeds/$1" ] || usage "there is no target '$1'"
        targets="$targets $1"
        ;;
    esac
    shift
done
[ -n "$targets" ] || targets=$(cd tests/fuzz/seeds && echo *)

need_packages build test
mkdir -p "$build/crashes" "$build/logs"
if ! { cmake --preset fuzz && cmake --build --preset fuzz --target fuzzers; } >"$build/logs/build.log" 2>&1; then
    tail -n 40 "$build/logs/build.log" >&2
    usage "the targets could not be built; the lines above say why"
fi

pids=
stop() {
    trap - EXIT
    for pid in $pids; do
        kill "$pid" 2>/dev/null
    done
    wait
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Replaces its subshell, so that the background process is the fuzzer itself.
run_target() {
    corpus=$build/corpus/$1
    mkdir -p "$corpus"
    set -- "$1" "$corpus" "tests/fuzz/seeds/$1"
    name=$1
    shift
    [ ! -r "tests/fuzz/dict/$name.dict" ] || set -- "-dict=tests/fuzz/dict/$name.dict" "$@"
    exec "$build/fuzz-$name" -max_total_time="$seconds" -print_final_stats=1 -close_fd_mask=3 -timeout=20 \
        -rss_limit_mb=2048 -artifact_prefix="$build/crashes/$name-" "$@" >"$build/logs/$name.log" 2>&1 </dev/null
}

edges_of() {
    [ -r "$build/logs/$1.log" ] || return 0
    sed -n 's/^#[0-9].* cov: \([0-9]*\) .*/\1/p' "$build/logs/$1.log" | tail -n 1
}

stat_of() {
    sed -n "s/^stat::$2: *\([0-9]*\).*/\1/p" "$build/logs/$1.log"
}

# $running has "pid:name pid:name". Drops those that have ended and adds their rows to the table.
running=
failed=0
table=
reap() {
    still=
    for one in $running; do
        pid=${one%%:*} name=${one#*:}
        if kill -0 "$pid" 2>/dev/null; then
            still="$still $one"
            continue
        fi
        word=clean
        wait "$pid" || { word=FAILED failed=$((failed + 1)); }
        table="$table$(printf '%-15s %8s %10s %12s  %s' "$name" "$(edges_of "$name")" \
            "$(stat_of "$name" average_exec_per_sec)" "$(stat_of "$name" number_of_executed_units)" "$word")
"
        ended=$((ended + 1))
    done
    running=$still
    pids=
    for one in $running; do pids="$pids ${one%%:*}"; done
}

progress() {
    line="$ended of $all done, $failed failed"
    for one in $running; do
        name=${one#*:}
        line="$line; $name $(edges_of "$name") edges"
    done
    # On a terminal one line, overwritten each time; elsewhere one line a minute.
    if [ -t 1 ]; then
        printf '\r\033[K%s' "$line"
    elif [ $((ticks % 30)) -eq 1 ]; then
        echo "$line"
    fi
}

# shellcheck disable=SC2086
all=$(set -- $targets && echo $#)
ended=0
ticks=0
for name in $targets; do
    run_target "$name" &
    running="$running $!:$name"
    pids="$pids $!"
    # shellcheck disable=SC2086
    while set -- $running && [ $# -ge "$jobs" ]; do
        ticks=$((ticks + 1))
        progress
        sleep 2
        reap
    done
done
while [ -n "$running" ]; do
    ticks=$((ticks + 1))
    progress
    sleep 2
    reap
done
[ ! -t 1 ] || printf '\r\033[K'

printf '%-15s %8s %10s %12s\n%s' target edges execs/s execs "$table"
if [ "$failed" -gt 0 ]; then
    echo "$failed failed; the inputs are in $build/crashes, the stacks in $build/logs"
    exit 1
fi
echo "all $all clean"
