#!/bin/sh
# clang-format, clang-tidy and cppcheck over all of C, `sh -n` over the shell scripts:
#
#     sh tests/lint.sh [BUILD_DIR]        a build directory with compile_commands.json; build/asan unless named
#
# Prints what is wrong, nothing when all is well. Exit status 0 or 1.
set -eu
cd "$(dirname "$0")/.."
build=${1:-build/asan}
status=0

if [ ! -r "$build/compile_commands.json" ]; then
    echo "lint: $build/compile_commands.json is not there; build first (cmake --preset asan)" >&2
    exit 1
fi

sources() {
    find client include server tests -name '*.[ch]' | LC_ALL=C sort
}

# Of these the compiler's options are known. clang-tidy reads headers with the file that includes them.
compiled() {
    sed -n "s|^ *\"file\": \"$PWD/\(.*\.c\)\",*$|\1|p" "$build/compile_commands.json" | LC_ALL=C sort -u
}

echo "clang-format"
sources | xargs clang-format --dry-run -Werror || status=1

echo "clang-tidy"
[ -n "$(compiled)" ] || { echo "lint: $build/compile_commands.json names no file of $PWD" >&2; exit 1; }
# One file at a time, two at once: the whole in one process takes memory by the gigabyte. What it prints besides findings
# is how many warnings of system headers it held back.
found=$(compiled | xargs -P2 -n1 clang-tidy -p "$build" --quiet 2>&1) || status=1
printf '%s\n' "$found" | grep -v -e '^[0-9]* warnings\{0,1\} generated\.$' -e '^$' || true

echo "cppcheck"
cppcheck --enable=warning,portability,performance --inline-suppr --error-exitcode=1 --quiet --std=c11 -j2 \
    -I include -I server -I client client server tests || status=1

echo "sh -n"
for script in server/*.sh docker/*.sh tests/*.sh tests/*/*.sh; do
    sh -n "$script" || status=1
done
bash -n .ci/run || status=1

exit $status
