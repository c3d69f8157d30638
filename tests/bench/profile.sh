#!/bin/sh
# Where the processors' time goes while rationd is under load, from a fresh checkout:
#
#     sh tests/bench/profile.sh [--load ours-50|ours-64|ours-hot|pairs-50|...] [--seconds N] [--svg FILE] [--build DIR]
#
# Installs what is missing (perf among it), builds the preset release (not with --build DIR: runs what is there), starts a Redis,
# a rationd and a load of run.sh, and watches all three with perf; profile_run.py does it, README.md says how to read the table and
# the flame graph. Wants root. --help lists the options.
#
# Exit status: 0 done, 1 it could not be measured, 2 the command line is wrong.
set -eu
from=$PWD
cd "$(dirname "$0")/../.."
. tests/bench/build.sh
command -v perf >/dev/null || packages_install linux-perf >/dev/null || exit 1
bench_run 1 profile_run.py "$from" "rationd ration_tool" "" "$@"
