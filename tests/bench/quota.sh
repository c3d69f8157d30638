#!/bin/sh
# How much of a provider's quota sixteen processes can use without one 429, from a fresh checkout:
#
#     sh tests/bench/quota.sh [--trace FILE] [--json FILE] [--svg FILE] [--modes MODE,...] [--build DIR]
#
# Installs what is missing, builds the preset release (not with --build DIR: runs what is there), starts a Redis, three
# rationd and a strict provider for each mode on free ports, and replays a trace; quota.py does it, README.md says how to read
# the table and the picture. Takes about five minutes. --help lists the options.
#
# Exit status: 0 every bar was met, 1 one was missed, 2 it could not be run.
set -eu
from=$PWD
cd "$(dirname "$0")/../.."
. server/packages.sh
bench=$PWD/tests/bench/quota.py

build=yes
for arg; do
    case $arg in
    --build | --build=* | --help | -h) build= ;;
    esac
done

# need_packages ends with 1 where it cannot install, which would be a bar that was missed.
(need_packages build) || exit 2
if [ ! -x "$RATION_PYTHON" ]; then
    packages_install python3 >/dev/null || exit 2
fi
(cd "$from" && "$RATION_PYTHON" -B "$bench" --parse-only "$@")
if [ -n "$build" ]; then
    echo "building" >&2
    log=$(mktemp)
    if ! { cmake --preset release -DRATION_TESTS=ON &&
        cmake --build --preset release --target rationd ration_tool strict-provider; } >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        echo "tests/bench/quota.sh: the build failed; all of its output is in $log" >&2
        exit 2
    fi
    rm -f "$log"
fi
cd "$from"
exec "$RATION_PYTHON" -B "$bench" "$@"
