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
. tests/bench/build.sh
bench_run 2 quota.py "$from" "rationd ration_tool strict-provider" -DRATION_TESTS=ON "$@"
