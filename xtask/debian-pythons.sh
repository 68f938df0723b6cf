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

roots=$(mkdir -p "$1" && cd "$1" && pwd)

mirror() {
    local site
    site=$(apt-get indextargets --format '$(SITE)' 'Origin: Debian' 2>/dev/null | sort -u | head -1)
    if [ -z "$site" ]; then
        site=$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/*.sources 2>/dev/null | head -1)
    fi
    if [ -z "$site" ]; then
        site=$(sed -n 's/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*\).*/\2/p' /etc/apt/sources.list 2>/dev/null | head -1)
    fi
    echo "$site"
}

# fetch NAME SUITE VERSION...
fetch() {
    local root=$roots/$1 suite=$2 site key options version
    shift 2
    # the stamp names what was asked for, so that another list fetches again
    if [ -e "$root/complete" ] && [ "$(cat "$root/complete")" = "with headers: $*" ]; then
        return 0
    fi
    site=$(mirror)
    if [ -z "$site" ]; then
        echo "apt names no Debian mirror: $suite is left out" >&2
        return 0
    fi
    local apt=$root/var/apt
    mkdir -p "$apt"/lists/partial "$apt"/cache/archives/partial
    key=/usr/share/keyrings/debian-archive-keyring.gpg
    echo "deb [signed-by=$key] $site $suite main" >"$apt/sources.list"
    : >"$apt/status"
    options=(-qq -o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o "Dir::State::status=$apt/status"
        -o APT::Install-Recommends=false -o APT::Sandbox::User=root)
    echo "fetching $* of Debian $suite" >&2
    apt-get "${options[@]}" update
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
    apt-get "${options[@]}" -y --download-only install coreutils libgcc-s1 "${names[@]}" >/dev/null
    # merged /usr first, then every package
    mkdir -p "$root"/usr/{bin,sbin,lib,lib64} "$root"/{tmp,proc,dev,root}
    local folder archive
    for folder in bin sbin lib lib64; do
        [ -e "$root/$folder" ] || ln -s "usr/$folder" "$root/$folder"
    done
    for archive in "$apt"/cache/archives/*.deb; do
        dpkg-deb -x "$archive" "$root"
    done
    rm -rf "$apt/cache" "$apt/lists"
    echo "with headers: $*" >"$root/complete"
}

fetch debian sid 3.13 3.14 3.15 3.13-dbg 3.14-dbg 3.15-dbg
fetch bookworm bookworm 3.11 3.11-dbg
fetch pypy bookworm pypy3
