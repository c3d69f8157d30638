#!/bin/sh
# All tests, from a fresh checkout:
#
#     sh tests/run.sh [--quick] [--preset NAME]
#
#     --quick         skip the linters, docker compose and the servers from PyPI; use less traffic
#     --preset NAME   the preset to build and test: asan (default), dev or release
#
# Installs what is missing, builds with warnings as errors, and runs stage after stage. A stage that
# fails shows the end of its log, and the next one still runs. The last line is
# `N passed, N failed`: the tests that ctest and pytest counted, and one for each other stage.
#
# Exit status: 0 all passed, 1 something failed, 2 wrong command line.
set -u
cd "$(dirname "$0")/.."
. server/packages.sh

preset=asan
quick=
while [ $# -gt 0 ]; do
    case $1 in
    --quick) quick=yes ;;
    --preset)
        preset=${2-}
        [ -n "$preset" ] || { echo "tests/run.sh: --preset needs a name: asan, dev or release" >&2; exit 2; }
        shift
        ;;
    --help | -h)
        sed -n '2,/^set /{/^#/!d;s/^# \{0,1\}//;p}' tests/run.sh
        exit 0
        ;;
    *)
        echo "tests/run.sh: '$1' is not an option; --help lists them" >&2
        exit 2
        ;;
    esac
    shift
done

build=build/$preset
logs=build/logs
passed=0
failed=0
begin=$(date +%s)
export ASAN_OPTIONS="detect_leaks=1:${ASAN_OPTIONS-}"
export UBSAN_OPTIONS="print_stacktrace=1:${UBSAN_OPTIONS-}"

trap 'echo; echo "tests/run.sh: interrupted"; exit 130' INT
trap 'exit 143' TERM

# ---- The result of a stage -----------------------------------------------------------------------
# Each of these reads a stage's log and exit status, and sets ok, bad and note.

count_stage() {
    ok=0 bad=0 note=
    case $2 in
    0) ok=1 ;;
    77) note="$(tail -n 1 "$1")" ;;
    *) bad=1 ;;
    esac
}

# "97% tests passed, 1 tests failed out of 36"
count_ctest() {
    bad=$(sed -n 's/.*tests passed, \([0-9]*\) tests failed out of [0-9]*.*/\1/p' "$1" | tail -n 1)
    ok=$(sed -n 's/.*tests passed, [0-9]* tests failed out of \([0-9]*\).*/\1/p' "$1" | tail -n 1)
    if [ -z "$ok" ]; then
        ok=0 bad=1
    else
        ok=$((ok - bad))
        [ "$2" -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
    fi
    note="$ok passed"
}

# "3 failed, 40 passed, 1 skipped, 1 error in 5.01s"
count_pytest() {
    summary=$(grep -E '^=* ?[0-9]+ (passed|failed|skipped|error|deselected)' "$1" | tail -n 1)
    pytest_number() { echo "$summary" | grep -oE "[0-9]+ $1" | grep -oE '[0-9]+' || echo 0; }
    ok=$(pytest_number passed)
    skipped=$(pytest_number skipped)
    bad=$(($(pytest_number failed) + $(pytest_number error)))
    note="$ok passed"
    if [ "$skipped" -gt 0 ]; then
        note="$note, $skipped skipped"
        [ -z "${CI-}" ] || bad=$((bad + skipped)) # CI has everything that the tests need
    fi
    if [ "$2" -ne 0 ] && [ "$bad" -eq 0 ]; then
        bad=1
    fi
}

# The same for a stage that exits with 77 if what it needs is not available.
count_pytest_or_skip() {
    if [ "$2" -eq 77 ]; then
        count_stage "$@"
    else
        count_pytest "$@"
    fi
}

# stage NAME COUNT command...: runs the command with its output in a log; COUNT is one of the above.
# Fails if something failed.
stage() {
    name=$1 count=$2 log=$logs/$(echo "$1" | tr -c 'a-z0-9\n' '-').log
    shift 2
    printf '%-28s' "$name"
    stage_begin=$(date +%s)
    status=0
    "$@" >"$log" 2>&1 </dev/null || status=$?
    "$count" "$log" "$status"
    passed=$((passed + ok))
    failed=$((failed + bad))
    word=ok
    [ "$status" -ne 77 ] || word=skipped
    [ "$bad" -eq 0 ] || word=FAILED
    printf '%-8s%4s s  %s\n' "$word" "$(($(date +%s) - stage_begin))" "$note"
    [ "$bad" -eq 0 ] && return 0
    echo "--- the end of $log ---"
    tail -n 60 "$log"
    echo "--- $log ---"
    return 1
}

finish() {
    echo "all in $(($(date +%s) - begin)) s; the logs are in $logs"
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
    exit
}

# ---- The stages ----------------------------------------------------------------------------------

build_preset() {
    cmake --preset "$1" -DRATION_WERROR=ON -DRATION_TESTS=ON && cmake --build --preset "$1"
}

unit_tests() {
    ctest --test-dir "$build" -j2 --output-on-failure
}

integration_tests() {
    RATION_BUILD=$build timeout --foreground 1500 "$RATION_PYTHON" -m pytest -q -p no:cacheprovider "$@"
}

recorded_answers() {
    RATION_BUILD=$build timeout --foreground 300 "$RATION_PYTHON" -m pytest -q -p no:cacheprovider tests/upstream/replay
}

independent_servers() {
    RATION_BUILD=$build RATION_PYTHON=$RATION_PYTHON timeout --foreground 900 sh tests/independent/run.sh
}

# gcc 12's ThreadSanitizer cannot start if the kernel randomises addresses more than Debian 12's.
fixed_addresses=
if [ "$(cat /proc/sys/vm/mmap_rnd_bits 2>/dev/null || echo 28)" -gt 28 ]; then
    fixed_addresses="setarch -R"
fi

# The client has threads for replaying hosts and for looking up names.
thread_tests() {
    build_preset tsan && $fixed_addresses ctest --test-dir build/tsan -R '^client-' -j2 --output-on-failure
}

# main_job PRESET SECONDS: the main job, as a newcomer runs it.
main_job() {
    QUICKSTART_PRESET=$1 QUICKSTART_SECONDS=$2 sh server/quickstart.sh
}

thread_replay() {
    QUICKSTART_PRESET=tsan QUICKSTART_SECONDS=6 $fixed_addresses sh server/quickstart.sh
}

# Runs each fuzz target for a few seconds; tests/fuzz/run.sh does it for as long as wanted.
short_fuzz() {
    cmake --preset fuzz -DRATION_WERROR=ON && cmake --build --preset fuzz --target fuzzers &&
        ctest --test-dir build/fuzz -R '^fuzz-' -j2 --output-on-failure
}

compose_test() {
    "$RATION_PYTHON" tests/docker/compose_test.py
}

if [ -n "$quick" ]; then
    need_packages build test
else
    need_packages build test lint
fi
mkdir -p "$logs"

stage "build $preset" count_stage build_preset "$preset" || finish
stage "unit tests" count_ctest unit_tests
stage "script against the model" count_pytest integration_tests tests/integration/script
stage "integration tests" count_pytest integration_tests tests/integration --ignore=tests/integration/script
stage "recorded answers" count_pytest recorded_answers
[ -n "$quick" ] || stage "independent servers" count_pytest_or_skip independent_servers
stage "thread sanitizer, client" count_ctest thread_tests
stage "thread sanitizer, replay" count_stage thread_replay
stage "fuzz, short" count_ctest short_fuzz
stage "installed library" count_stage sh tests/install/install_test.sh
if [ -n "$quick" ]; then
    stage "main job, short" count_stage main_job release 6
else
    stage "main job" count_stage main_job release 30
    stage "lint" count_stage sh tests/lint.sh "$build"
    stage "docker compose" count_stage compose_test
fi
finish
