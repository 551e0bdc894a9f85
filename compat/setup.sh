#!/usr/bin/env bash
# Installs the real mem0 clients beside this script; does nothing if they exist.
set -euo pipefail
cd "$(dirname "$0")"

need() {
    command -v "$1" >/dev/null && return
    echo "compat/setup.sh: $1 is not on the path; $2" >&2
    exit 1
}
need python3 "the Python clients need Python 3.11 or newer"
need node "the Node client needs Node 20 or newer"
need npm "the Node client is installed with npm"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "compat/setup.sh: $(python3 --version) is too old, the pins need Python 3.11 or newer" >&2
    exit 1
}

# A copy of the pins is written last: if it matches, the installation is complete.
if ! cmp -s requirements-2.txt .venv-2/installed.txt; then
    echo "compat: installing the Python client 2.x and the command line" >&2
    rm -rf .venv-2 .venv-1
    python3 -m venv .venv-2
    .venv-2/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps \
        -r requirements-2.txt 2> >(grep -v 'requires\|dependency resolver' >&2)
    .venv-2/bin/python -c 'import mem0'
    cp requirements-2.txt .venv-2/installed.txt
fi

if ! cmp -s requirements-1.txt .venv-1/installed.txt; then
    echo "compat: installing the Python client 1.x" >&2
    rm -rf .venv-1
    python3 -m venv --without-pip .venv-1
    packages() { "$1" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }
    .venv-2/bin/python -m pip --python .venv-1/bin/python install --quiet \
        --disable-pip-version-check --no-compile --no-deps -r requirements-1.txt \
        2> >(grep -v 'requires\|dependency resolver' >&2)
    packages .venv-2/bin/python >"$(packages .venv-1/bin/python)/behind.pth"
    .venv-1/bin/python -c 'import mem0; assert mem0.__version__.startswith("1.")'
    cp requirements-1.txt .venv-1/installed.txt
fi

if ! cmp -s package-lock.json node_modules/installed.json; then
    echo "compat: installing the Node client" >&2
    npm ci --silent
    cp package-lock.json node_modules/installed.json
fi
