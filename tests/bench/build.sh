# shellcheck shell=sh
# From a fresh checkout to a benchmark that runs: read by run.sh, quota.sh and profile.sh, at the top of the tree.
#
#     . tests/bench/build.sh
#     bench_run FAILED PROGRAM FROM "TARGET ..." "CMAKE_OPTION ..." ARG...
#
# Installs what is missing, lets tests/bench/PROGRAM check its command line, builds the targets of the preset release unless
# ARG has --build or --help, and becomes PROGRAM in the folder FROM. Ends with status FAILED where one of these cannot be
# done; a command line that is wrong is for PROGRAM to refuse, which ends with its own status.
. server/packages.sh

bench_run() {
    failed=$1 bench=$PWD/tests/bench/$2 from=$3 targets=$4 options=$5
    shift 5
    build=yes
    for arg; do
        case $arg in
        --build | --build=* | --help | -h) build= ;;
        esac
    done

    # need_packages ends with a status of its own where it cannot install.
    (need_packages build) || exit "$failed"
    if [ ! -x "$RATION_PYTHON" ]; then
        packages_install python3 >/dev/null || exit "$failed"
    fi
    (cd "$from" && "$RATION_PYTHON" -B "$bench" --parse-only "$@")
    if [ -n "$build" ]; then
        echo "building" >&2
        log=$(mktemp)
        # Both lists are meant to be split into words.
        # shellcheck disable=SC2086
        if ! { cmake --preset release $options && cmake --build --preset release --target $targets; } >"$log" 2>&1; then
            tail -n 20 "$log" >&2
            echo "tests/bench/${0##*/}: the build failed; all of its output is in $log" >&2
            exit "$failed"
        fi
        rm -f "$log"
    fi
    cd "$from"
    exec "$RATION_PYTHON" -B "$bench" "$@"
}
