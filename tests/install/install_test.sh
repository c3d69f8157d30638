#!/bin/sh
# Builds a release without the tests, installs it into a temporary directory, and builds a small
# program against it: through pkg-config and through the CMake package, shared and static. Then
# checks that the library exports only its interface.
#
#     sh tests/install/install_test.sh
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
prefix=$work/prefix

echo "== A release, with warnings as errors"
cmake -S ../.. -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DRATION_HARDEN=ON -DRATION_WERROR=ON \
    -DRATION_TESTS=OFF -DCMAKE_INSTALL_PREFIX="$prefix"
cmake --build "$work/build"
cmake --install "$work/build"
libdir=$(dirname "$(find "$prefix" -name 'libration.so' -print)")
export PKG_CONFIG_PATH="$libdir/pkgconfig"
export LD_LIBRARY_PATH="$libdir"
version=$(pkg-config --modversion ration)

echo "== pkg-config, shared"
# pkg-config's output is meant to be split into words.
# shellcheck disable=SC2046
cc -Wall -Wextra -Werror -DEXPECTED_VERSION="\"$version\"" program.c -o "$work/shared" $(pkg-config --cflags --libs ration)
"$work/shared"

# Not pkg-config --static: that would ask for all of libcurl's own libraries as well.
echo "== pkg-config, libration static"
# shellcheck disable=SC2046
cc -Wall -Wextra -Werror -DEXPECTED_VERSION="\"$version\"" program.c -o "$work/static" \
    $(pkg-config --cflags ration) "$libdir/libration.a" $(pkg-config --libs hiredis libcurl json-c libcrypto) -pthread
(unset LD_LIBRARY_PATH && "$work/static")

echo "== CMake package, shared and static"
cmake -S . -B "$work/cmake" -G Ninja -DCMAKE_PREFIX_PATH="$prefix"
cmake --build "$work/cmake"
"$work/cmake/uses-ration"
(unset LD_LIBRARY_PATH && "$work/cmake/uses-ration_static")

echo "== What the library exports"
shown=$(nm -D --defined-only "$libdir/libration.so" | awk '$2 ~ /[TDBRVW]/ && $3 !~ /^ration_/ {print $3}')
[ -z "$shown" ] || { echo "symbols that are not part of the interface: $shown"; exit 1; }
declared=$(grep -c '^RATION_API' "$prefix/include/ration/ration.h")
defined=$(nm -D --defined-only "$libdir/libration.so" | grep -c ' T ration_')
[ "$declared" -eq "$defined" ] || { echo "the header declares $declared functions, the library has $defined"; exit 1; }

echo "== The programs"
"$prefix/bin/rationd" --version
"$prefix/bin/ration" --version
echo "installed and used"
