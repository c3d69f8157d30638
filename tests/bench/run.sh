#!/bin/sh
# How fast rationd is, in ratios to the scripts that it replaces, from a fresh checkout:
#
#     sh tests/bench/run.sh [--json FILE] [--rounds N] [--quick] [--long] [--only ROW,...] [--unix] [--vast]
#                             [--build DIR] [--against DIR]
#
# Installs what is missing, builds the preset release (not with --build DIR: measures what is there), starts a Redis and a
# rationd of its own on free ports, and measures; bench.py does it, README.md says how to read the table. --help lists the
# options.
#
# Exit status: 0 every bar was met, 1 one was missed or could not be measured, 2 the command line is wrong.
set -eu
from=$PWD
cd "$(dirname "$0")/../.."
. tests/bench/build.sh
bench_run 1 bench.py "$from" "rationd ration_tool" "" "$@"
