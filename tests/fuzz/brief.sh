#!/bin/sh
# Runs one fuzz target briefly, for CTest:
#
#     sh tests/fuzz/brief.sh PROGRAM EDGES [RUNS]
#
# Runs its seeds and RUNS (20000) inputs made from them, the same in every run. Fails if an input
# does, or if all of them together reach fewer than EDGES edges: then the code under test is not
# instrumented, or the target does not reach it.
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

# New inputs go to the first folder. The targets' own output is closed, a sanitizer's is not.
"$program" -runs="$runs" -seed=1 -close_fd_mask=3 -rss_limit_mb=2048 ${dictionary:+"$dictionary"} \
    -artifact_prefix="$scratch/" "$scratch/corpus" "$here/seeds/$name" >"$scratch/log" 2>&1
status=$?
tail -n 60 "$scratch/log"
for input in "$scratch"/crash-* "$scratch"/leak-* "$scratch"/timeout-* "$scratch"/oom-*; do
    [ -e "$input" ] || continue
    echo "the input, to add to tests/fuzz/seeds/$name:"
    base64 <"$input"
done
[ $status -eq 0 ] || exit 1
reached=$(sed -n 's/^#[0-9]*[^0-9]*DONE *cov: \([0-9]*\).*/\1/p' "$scratch/log")
echo "edges reached: ${reached:-none}, wanted: $edges"
[ "${reached:-0}" -ge "$edges" ]
