#!/bin/sh
# One fuzz target for a moment, as CTest runs it:
#
#     sh tests/fuzz/brief.sh PROGRAM EDGES [RUNS]
#
# Its seeds and RUNS (20000) inputs made of them, the same in every run. Fails when an input does, and when all of them together
# reach fewer edges than EDGES: then what the target reads by is not instrumented, or the target does not get there.
set -u
program=$1 edges=$2 runs=${3:-20000}
name=$(basename "$program" | sed 's/^fuzz-//')
here=$(dirname "$0")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
mkdir "$scratch/corpus"
dictionary=
[ ! -r "$here/dict/$name.dict" ] || dictionary=-dict=$here/dict/$name.dict

# New inputs go to the first folder. What targets say to people is closed; what a sanitizer says is not.
"$program" -runs="$runs" -seed=1 -close_fd_mask=3 -rss_limit_mb=2048 ${dictionary:+"$dictionary"} \
    -artifact_prefix="$scratch/" "$scratch/corpus" "$here/seeds/$name" >"$scratch/log" 2>&1
status=$?
tail -n 60 "$scratch/log"
for input in "$scratch"/crash-* "$scratch"/leak-* "$scratch"/timeout-* "$scratch"/oom-*; do
    [ -e "$input" ] || continue
    echo "the input, to be added to tests/fuzz/seeds/$name:"
    base64 <"$input"
done
[ $status -eq 0 ] || exit 1
reached=$(sed -n 's/^#[0-9]*[^0-9]*DONE *cov: \([0-9]*\).*/\1/p' "$scratch/log")
echo "edges reached: ${reached:-none}, wanted: $edges"
[ "${reached:-0}" -ge "$edges" ]
