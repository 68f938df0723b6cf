#!/usr/bin/env bash
# Unpacks CPythons of Debian into private roots, from the mirror that this machine's own apt configuration names:
#   ROOTS/debian    3.13, 3.14, 3.15 of unstable, and the debug build of each
#   ROOTS/bookworm  3.11 of Debian 12 with its debug build
#   ROOTS/pypy      PyPy of Debian 12, which pyheap has to refuse
# Nothing is installed and nothing outside ROOTS changes; no maintainer script runs. Run inside by chroot:
#   chroot ROOTS/debian /usr/bin/python3.14
# Idempotent: a root that was made from the same list is left alone. The suite rolls, so an index can name a file that is
# already gone; running again mends that. A version that the suite does not have is left out and said.
set -euo pipefail

# shellcheck source=xtask/debian.sh
. "$(dirname "$0")/debian.sh"
roots=$(mkdir -p "$1" && cd "$1" && pwd)

# fetch NAME SUITE VERSION...
fetch() {
    local root=$roots/$1 suite=$2 options version
    shift 2
    # the stamp names what was asked for, so that another list fetches again
    if [ -e "$root/complete" ] && [ "$(cat "$root/complete")" = "with headers: $*" ]; then
        return 0
    fi
    if [ -z "$(mirror)" ]; then
        echo "apt names no Debian mirror: $suite is left out" >&2
        return 0
    fi
    echo "fetching $* of Debian $suite" >&2
    private_apt "$root" "$suite" "$(dpkg --print-architecture)"
    local names=() name
    for version in "$@"; do
        if [ "$version" = pypy3 ]; then
            names+=(pypy3)
            continue
        fi
        name=python$version
        if apt-cache "${options[@]}" show "$name" >/dev/null 2>&1; then
            names+=("$name" "libpython${version%-dbg}-dev")
        else
            echo "$suite has no $name" >&2
        fi
    done
    unpack "$root" coreutils libgcc-s1 "${names[@]}"
    echo "with headers: $*" >"$root/complete"
}

fetch debian sid 3.13 3.14 3.15 3.13-dbg 3.14-dbg 3.15-dbg
fetch bookworm bookworm 3.11 3.11-dbg
fetch pypy bookworm pypy3
