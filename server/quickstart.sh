#!/bin/sh
# From a fresh Debian machine to real traffic through Ration, in one command:
#
#     sh server/quickstart.sh
#
# Installs what is missing, builds, starts rationd on its embedded store and a strict provider that
# answers 429 to everyone who exceeds its quota, and replays recorded traffic from four processes
# that stand for hosts. Stops everything it started, however it ends; the programs stay in
# build/release/.
#
# Exit status: 0 the provider refused nothing and the ledger balances; 1 otherwise, or if something
# could not be installed, built or started. QUICKSTART_PRESET=tsan builds and runs another preset,
# QUICKSTART_SECONDS=6 replays less.
set -eu
cd "$(dirname "$0")/.."
. server/packages.sh

QUOTA_REQUESTS=5000 # as in server/quickstart.json
QUOTA_TOKENS=450000
MINUTE_MS=6000 # the length of a minute here
TENANTS=globex:enterprise,stark:enterprise,wayne:enterprise
TENANTS=$TENANTS,acme:pro,initech:pro,hooli:pro,umbrella:pro,ada:free,grace:free,linus:free
preset=${QUICKSTART_PRESET:-release}
seconds=${QUICKSTART_SECONDS:-30}
bin=build/$preset

# The provider runs on this machine: do not ask a proxy for it.
NO_PROXY=127.0.0.1${NO_PROXY:+,$NO_PROXY}
no_proxy=$NO_PROXY
export NO_PROXY no_proxy

work=
pids=
replay=
clean_up() {
    status=$?
    trap - EXIT INT TERM
    for pid in $pids; do
        kill "$pid" 2>/dev/null || true
    done
    for pid in $pids; do
        wait "$pid" 2>/dev/null || true
    done
    [ -z "$work" ] || rm -rf "$work"
    exit "$status"
}
# The replay finishes the calls in flight and prints its tables; asked again, it ends at once.
stop_early() {
    if [ -n "$replay" ]; then
        kill "$replay" 2>/dev/null || true
        wait "$replay" 2>/dev/null || true
    fi
    exit "$1"
}
trap clean_up EXIT
trap 'stop_early 130' INT
trap 'stop_early 143' TERM

# step N TEXT: a headline.
step() {
    printf '\n[%s/4] %s\n' "$1" "$2"
}

fail() {
    echo "quickstart: $1" >&2
    exit 1
}

# show_log NAME FILE LINES: shows the end of a log after a failure.
show_log() {
    echo "--- the end of the log of $1 ---" >&2
    tail -n "$3" "$2" >&2
}

# wait_for NAME PID LOG command...: waits until the command succeeds, at most 20 s.
wait_for() {
    name=$1 pid=$2 log=$3
    shift 3
    tries=200
    until "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        if [ $tries -eq 0 ] || ! kill -0 "$pid" 2>/dev/null; then
            show_log "$name" "$log" 20
            fail "$name did not start; its log above shows why"
        fi
        sleep 0.1
    done
}

build() {
    if ! { cmake --preset "$preset" -DRATION_TESTS=ON &&
        cmake --build --preset "$preset" --target rationd ration_tool strict-provider; } >"$work/build.log" 2>&1; then
        show_log "the build" "$work/build.log" 40
        fail "the build failed. If $bin was made elsewhere or long ago, remove it and retry"
    fi
}

# Each program gets its own session, so that Ctrl-C reaches this script alone, which stops them in
# order.
start_rationd() {
    setsid "$bin/rationd" --config server/quickstart.json --state "$work/state" 2>"$work/rationd.log" &
    rationd=$!
    pids="$pids $rationd"
    wait_for rationd "$rationd" "$work/rationd.log" grep -q 'ration ready' "$work/rationd.log"
    port=$(sed -n 's/.*ration ready.* resp=[^ ]*:\([0-9][0-9]*\).*/\1/p' "$work/rationd.log")
}

start_provider() {
    setsid "$bin/strict-provider" --listen 127.0.0.1:0 --port-file "$work/provider.port" --rpm "$QUOTA_REQUESTS" \
        --tpm "$QUOTA_TOKENS" --window-ms "$MINUTE_MS" --latency-ms 50 --latency-per-token-us 1000 \
        >/dev/null 2>"$work/provider.log" &
    provider=$!
    pids="$pids $provider"
    wait_for "the provider" "$provider" "$work/provider.log" test -s "$work/provider.port"
    provider_port=$(cat "$work/provider.port")
}

replay() {
    setsid "$bin/ration" replay --server "127.0.0.1:$port" --url "http://127.0.0.1:$provider_port" --trace "$trace" --hosts 4 \
        --speed "$speed" --duration "$seconds" --tenants "$TENANTS" &
    replay=$!
    pids="$pids $replay"
    wait "$replay"
}

audit() {
    "$bin/ration" audit --server "127.0.0.1:$port"
}

work=$(mktemp -d)
begin=$(date +%s)

step 1 "Packages"
need_packages build
echo "  all installed"

step 2 "Building $bin (a minute or so the first time)"
build
echo "  $bin/rationd  $bin/ration  $bin/strict-provider"

step 3 "Starting rationd and the provider"
start_rationd
start_provider
echo "  rationd            127.0.0.1:$port, on its embedded store, with server/quickstart.json"
echo "  strict provider    127.0.0.1:$provider_port, allows $QUOTA_REQUESTS requests and $QUOTA_TOKENS tokens a minute"
echo "  one minute is $((MINUTE_MS / 1000)) s here"

recorded=../shared/traces/azure_llm_2023_conv.csv
if [ -r "$recorded" ]; then
    trace=$recorded speed=22
    step 4 "Replaying the traffic of a production service at $speed times its speed: about twice the quota"
else
    trace=tests/integration/data/sample_trace.csv speed=20
    step 4 "Replaying sample traffic at $speed times its speed: about twice the quota"
fi
echo "  4 hosts share the quota; 10 tenants: 3 enterprise, 4 pro, 3 free"
replayed=0
replay || replayed=$?

echo
echo "The ledger (ration audit)"
echo
balanced=0
audit >"$work/audit" || balanced=$?
if [ $balanced -eq 0 ]; then
    echo "  $(tail -n 1 "$work/audit")"
else
    cat "$work/audit"
fi

if [ $replayed -ne 0 ] || [ $balanced -ne 0 ]; then
    [ $replayed -ne 1 ] || echo "quickstart: the provider answered 429, which should not happen" >&2
    show_log rationd "$work/rationd.log" 20
    exit 1
fi

cat <<EOF

Done in $(($(date +%s) - begin)) s. Next steps:

  1. Try it by hand. Start a server in one terminal (it serves an example configuration on port 7420),
     and ask it in another:
         $bin/rationd
         redis-cli -p 7420 ACQUIRE openai/gpt-4o acme tokens 500
  2. Two servers on one Redis, with the same traffic:
         docker compose -f docker/compose.yaml up --build
  3. Run the tests:
         sh tests/run.sh
EOF
