# Sourced by the scripts beside it: Debian's packages, unpacked into private folders. Nothing is installed and nothing outside
# these folders changes; no maintainer script runs.

# The mirror that this machine's own apt configuration names.
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

# private_apt ROOT SUITE ARCHITECTURE...: sets `options` for apt commands whose state is all under ROOT/var/apt, and reads the
# indices. The first architecture is the machine's.
private_apt() {
    local apt=$1/var/apt suite=$2 key=/usr/share/keyrings/debian-archive-keyring.gpg site architecture
    shift 2
    site=$(mirror)
    if [ -z "$site" ]; then
        echo "apt names no Debian mirror: no $suite" >&2
        return 1
    fi
    mkdir -p "$apt"/lists/partial "$apt"/cache/archives/partial
    echo "deb [arch=$(IFS=,; echo "$*") signed-by=$key] $site $suite main" >"$apt/sources.list"
    : >"$apt/status"
    options=(-qq -o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o "Dir::State::status=$apt/status"
        -o APT::Install-Recommends=false -o APT::Sandbox::User=root -o "APT::Architecture=$1")
    for architecture in "$@"; do
        options+=(-o "APT::Architectures::=$architecture")
    done
    apt-get "${options[@]}" update
}

# unpack ROOT PACKAGE...: fetches packages with all that they depend on, and unpacks them below ROOT.
unpack() {
    local root=$1 apt=$1/var/apt folder archive
    shift
    apt-get "${options[@]}" -y --download-only install "$@" >/dev/null
    # merged /usr first, then every package
    mkdir -p "$root"/usr/{bin,sbin,lib,lib64} "$root"/{tmp,proc,dev,root}
    for folder in bin sbin lib lib64; do
        [ -e "$root/$folder" ] || ln -s "usr/$folder" "$root/$folder"
    done
    for archive in "$apt"/cache/archives/*.deb; do
        dpkg-deb -x "$archive" "$root"
    done
    rm -rf "$apt/cache" "$apt/lists"
}
