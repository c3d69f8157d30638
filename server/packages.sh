# shellcheck shell=sh
# The Debian packages that Ration needs, in one place for server/quickstart.sh and tests/run.sh.
#
#     . server/packages.sh
#     need_packages build test        installs what these lists miss, or ends with a message
#
# Checks for what a package provides (a program, a pkg-config module, a file, a Python module, one
# of clang's runtime libraries), not for its name: another build of libcurl, or a cmake of your own,
# will do.

# kind, what is needed, the package that provides it
packages_build='
program cc           gcc
file /usr/include/stdio.h libc6-dev
program cmake        cmake
program ninja        ninja-build
program pkg-config   pkg-config
module  hiredis      libhiredis-dev
module  libevent     libevent-dev
module  libcurl      libcurl4-openssl-dev
module  json-c       libjson-c-dev
module  libcrypto    libssl-dev
module  cmocka       libcmocka-dev
program redis-server redis-server
program redis-cli    redis-tools
file    /usr/share/zoneinfo/UTC tzdata
'
packages_test='
python  json         python3
python  pytest       python3-pytest
python  redis        python3-redis
python  yaml         python3-yaml
python  ensurepip    python3-venv
program clang        clang
runtime fuzzer       libclang-rt-14-dev
'
packages_lint='
program clang-format clang-format
program clang-tidy   clang-tidy
program cppcheck     cppcheck
'

# Debian's own interpreter, which finds Debian's modules; another one first in PATH would not.
RATION_PYTHON=/usr/bin/python3

packages_have() {
    case $1 in
    program) command -v "$2" ;;
    module) pkg-config --exists "$2" ;;
    python) "$RATION_PYTHON" -c "import $2" ;;
    file) test -e "$2" ;;
    runtime) ls "$(clang -print-resource-dir)"/lib/*/libclang_rt."$2"* ;;
    esac >/dev/null 2>&1
}

# Prints the missing packages of list $1 on one line. A list has three words a row.
packages_missing() {
    # shellcheck disable=SC2086
    case $1 in
    build) set -- $packages_build ;;
    test) set -- $packages_test ;;
    lint) set -- $packages_lint ;;
    esac
    while [ $# -gt 0 ]; do
        packages_have "$1" "$2" || printf '%s ' "$3"
        shift 3
    done
}

# Runs a command as root. sudo may ask for a password only if somebody can answer.
packages_as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif [ -t 0 ]; then
        sudo "$@"
    else
        sudo -n "$@"
    fi
}

packages_install() {
    packages_as_root apt-get update -q &&
        packages_as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}

# need_packages LIST... (build, test, lint): ends the script with status 1 if something is missing
# and cannot be installed.
need_packages() {
    missing=
    for packages_list; do
        missing="$missing$(packages_missing "$packages_list")"
    done
    [ -n "$missing" ] || return 0
    if ! command -v apt-get >/dev/null; then
        echo "These Debian packages, or their equivalents on your system, are missing: $missing" >&2
        echo "Install them and rerun this." >&2
        exit 1
    fi
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
        echo "Some packages are missing, and only root can install them. Run this as root, then retry:" >&2
        echo "    apt-get install $missing" >&2
        exit 1
    fi
    echo "  installing $missing"
    packages_log=$(mktemp)
    # The list is meant to be split into words.
    # shellcheck disable=SC2086
    if ! packages_install $missing >"$packages_log" 2>&1 </dev/null; then
        tail -n 20 "$packages_log" >&2
        rm -f "$packages_log"
        echo "The packages could not be installed; the lines above show why. For the full output, run:" >&2
        echo "    apt-get update && apt-get install $missing" >&2
        exit 1
    fi
    rm -f "$packages_log"
}
