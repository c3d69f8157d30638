#!/bin/sh
# Runs clang-format, clang-tidy and cppcheck on all C files, and `sh -n` on the shell scripts:
#
#     sh tests/lint.sh [BUILD_DIR]        with compile_commands.json; default build/asan
#
# Prints what is wrong below the name of each tool. Exit status 0 or 1.
set -eu
cd "$(dirname "$0")/.."
build=${1:-build/asan}
status=0

if [ ! -r "$build/compile_commands.json" ]; then
    echo "lint: $build/compile_commands.json does not exist; build first (cmake --preset asan)" >&2
    exit 1
fi

sources() {
    find client include server tests -name '*.[ch]' | LC_ALL=C sort
}

# The files with known compiler options. clang-tidy reads headers with the files that include them.
compiled() {
    sed -n "s|^ *\"file\": \"$PWD/\(.*\.c\)\",*$|\1|p" "$build/compile_commands.json" | LC_ALL=C sort -u
}

echo "clang-format"
sources | xargs clang-format --dry-run -Werror || status=1

echo "clang-tidy"
[ -n "$(compiled)" ] || { echo "lint: $build/compile_commands.json names no file of $PWD" >&2; exit 1; }
# One file per process, two at once: a single process would take gigabytes of memory. Besides
# findings it prints how many warnings in system headers it suppressed.
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
