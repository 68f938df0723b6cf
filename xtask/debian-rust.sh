#!/usr/bin/env bash
# Unpacks Debian unstable's Rust compiler with the standard libraries of x86_64 and aarch64 into ROOT, for machines whose own
# toolchain lacks the latter and has nowhere to get it from. ROOT/rustc runs it.
set -euo pipefail
# shellcheck source=xtask/debian.sh
. "$(dirname "$0")/debian.sh"

root=$(mkdir -p "$1" && cd "$1" && pwd)
[ -e "$root/complete" ] && exit 0
options=()
echo "fetching rustc of Debian sid" >&2
private_apt "$root" sid amd64 arm64
unpack "$root" rustc libstd-rust-dev:amd64 libstd-rust-dev:arm64
# Its own loader, since it is made for a newer libc than this machine's.
cat >"$root/rustc" <<END
#!/bin/sh
exec $root/usr/lib64/ld-linux-x86-64.so.2 --library-path $root/usr/lib/x86_64-linux-gnu \\
    $root/usr/bin/rustc --sysroot $root/usr "\$@"
END
chmod +x "$root/rustc"
"$root/rustc" --version >"$root/complete"
