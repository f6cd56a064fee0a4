#!/bin/sh
# Remakes the hashed locks. They carry versions and digests only: no address, no host, no path, so that any mirror serves.
set -eu
cd "$(dirname "$0")/.."

compile() {
    lock=requirements/$1.lock
    shift
    .boot/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
        --no-annotate --no-emit-index-url --no-emit-find-links ${UPGRADE:+--upgrade} \
        --output-file "$lock" "$@" >/dev/null
    echo "# Made by make lock." | cat - "$lock" >"$lock.new"
    mv "$lock.new" "$lock"
}

mkdir -p requirements
compile boot --group boot
compile dev --extra all --group dev pyproject.toml
# A cut of the developers' lock, so that make test after make demo only adds packages.
compile demo --constraint requirements/dev.lock --extra demo --group build pyproject.toml
