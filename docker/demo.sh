#!/bin/sh
# The demonstration load of docker/compose.yaml: four hosts replay traffic against the strict
# provider, half of them asking server1 first, half server2; then the ledger is shown. Exit status 0
# if the provider refused nothing, no call failed, and the ledger balances. A server may be stopped
# meanwhile.
set -eu

replayed=0
ration replay --server "$RATION_SERVERS" --url "$PROVIDER_URL" --trace /usr/local/share/ration/sample_trace.csv \
    --hosts 4 --speed 20 --tenants "$TENANTS" || replayed=$?

echo
echo "The ledger (ration audit)"
echo
ration audit || replayed=$?
exit $replayed
