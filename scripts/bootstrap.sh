#!/bin/sh
# Finds a Python that is new enough and hands over to bootstrap.py, which may then use all of 3.11.
set -eu
here=$(dirname "$0")
new_enough='import sys; sys.exit(sys.version_info < (3, 11))'
for python in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11 python; do
    if "$python" -c "$new_enough" >/dev/null 2>&1; then
        exec "$python" "$here/bootstrap.py" "$@"
    fi
done
found=$(python3 --version 2>/dev/null || echo "no python3")
echo "setup: Holdfast needs Python 3.11 or newer and PATH has ${found};" \
    "install one (apt install python3, brew install python) or run: make setup PYTHON=/path/to/python3.11" >&2
exit 1
