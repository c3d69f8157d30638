#!/bin/sh
# How fast rationd is, in ratios to the scripts that it replaces, from a fresh checkout:
#
#     sh tests/bench/run.sh [--json FILE] [--rounds N] [--quick] [--long] [--only ROW,...] [--unix] [--vast]
#                             [--build DIR]
#
# Installs what is missing, builds the preset release (not with --build DIR: measures what is there), starts a Redis and a
# rationd of its own on free ports, and measures; bench.py does it, README.md says how to read the table. --help lists the
# options.
#
# Exit status: 0 every bar was met, 1 one was missed or could not be measured, 2 the command line is wrong.
set -eu
from=$PWD
cd "$(dirname "$0")/../.."
. server/packages.sh
bench=$PWD/tests/bench/bench.py

build=yes
for arg; do
    case $arg in
    --build | --build=* | --help | -h) build= ;;
    esac
done

need_packages build
if [ ! -x "$RATION_PYTHON" ]; then
    packages_install python3 >/dev/null
fi
(cd "$from" && "$RATION_PYTHON" -B "$bench" --parse-only "$@")
if [ -n "$build" ]; then
    echo "building" >&2
    log=$(mktemp)
    if ! { cmake --preset release && cmake --build --preset release --target rationd ration_tool; } >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        echo "tests/bench/run.sh: the build failed; all of its output is in $log" >&2
        exit 1
    fi
    rm -f "$log"
fi
cd "$from"
exec "$RATION_PYTHON" -B "$bench" "$@"
