#!/usr/bin/env bash
# Guards a server against leaks: after a second round of the same requests, no more objects of the types may be alive
# than after the first.
#
#   guard-server.sh PID URL-LIST RULE...
#   guard-server.sh 4242 urls.txt --max-growth shop.Session=0 --max-garbage 50M
#
# PID is the process that answers (of gunicorn, the worker), URL-LIST a file with one URL a line. The exit code is that
# of `pyheap check`: 0 if all rules hold, 3 if one does not. $PYHEAP names the program, $PYHEAP_REPORT the JUnit file.
set -euo pipefail
pid=$1 urls=$2
shift 2
pyheap=${PYHEAP:-pyheap}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

requests() {
    while read -r url; do
        curl --silent --show-error --fail --max-time 30 --output /dev/null "$url"
    done <"$urls"
}

# The first round fills caches and imports modules.
requests
"$pyheap" snapshot -q -p "$pid" -o "$folder/before.parquet" >/dev/null
requests
"$pyheap" check -p "$pid" "$folder/before.parquet" "$@" --junit "${PYHEAP_REPORT:-pyheap-report.xml}"
