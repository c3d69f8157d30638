#!/bin/sh
# Tests Ration's client against servers and SDKs that others wrote:
#
#     sh tests/independent/run.sh [pytest's arguments]
#
# They are installed from PyPI into build/independent, which is made anew when requirements.txt
# changes. If no package registry can be reached, this says so and exits with 77, which counts as
# skipped; any other error is a failure.
#
# RATION_BUILD is where the programs are (default build/asan), RATION_PYTHON the interpreter that
# has pytest and redis.
set -u
cd "$(dirname "$0")/../.."
python=${RATION_PYTHON-/usr/bin/python3}
wanted=tests/independent/requirements.txt
venv=$PWD/build/independent
uv=uv==0.13.9

skip() {
    echo "$1"
    exit 77
}

# What pip and uv say if they cannot reach a registry, as opposed to one without that version.
unreached='from versions: none|Connection|connection|resolve|Network is unreachable|timed out|[Ee]rror sending request|dns'

install() {
    rm -rf "$venv"
    "$python" -m venv "$venv" || exit 1
    "$venv/bin/pip" install -q --retries 1 "$uv" >"$venv/log" 2>&1 &&
        "$venv/bin/uv" pip install -q --python "$venv/bin/python" -r "$wanted" >>"$venv/log" 2>&1 && return 0
    # Perhaps only pip is set up for the registry.
    [ -x "$venv/bin/uv" ] && "$venv/bin/pip" install -q -r "$wanted" >>"$venv/log" 2>&1 && return 0
    tail -n 20 "$venv/log"
    grep -qE "$unreached" "$venv/log" && ! grep -qE 'from versions: [0-9]' "$venv/log" &&
        skip "no package registry can be reached, so the independent servers are not tested"
    exit 1
}

mkdir -p build
if ! cmp -s "$wanted" "$venv/installed.txt"; then
    install
    cp "$wanted" "$venv/installed.txt"
fi
cd tests/independent || exit 1
RATION_INDEPENDENT=$venv exec "$python" -m pytest -q -p no:cacheprovider "$@"
