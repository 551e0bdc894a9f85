#!/usr/bin/env bash
# Installs Python mem0 2.2.1 and 2.0.2 beside this script, each able to run Memory over Qdrant without a network: in
# .venv-2.2 and .venv-2.0, with the stop words of `Qdrant/bm25` in .bm25. Does nothing if they exist.
set -euo pipefail
cd "$(dirname "$0")"

command -v python3 >/dev/null || {
    echo "compat/interop/setup.sh: python3 is not on the path; Python 3.11 or newer is needed" >&2
    exit 1
}
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "compat/interop/setup.sh: $(python3 --version) is too old, the pins need Python 3.11 or newer" >&2
    exit 1
}

packages() { "$1" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }
# pip reports packages that are left out on purpose.
quiet() { grep -v 'requires\|dependency resolver' >&2 || true; }

# A copy of the pins is written last: if it matches, the installation is complete.
if ! cmp -s requirements-2.2.txt .venv-2.2/installed.txt; then
    echo "interop: installing mem0 2.2 with Qdrant's client, fastembed and spaCy" >&2
    rm -rf .venv-2.2 .venv-2.0
    python3 -m venv .venv-2.2
    .venv-2.2/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps \
        -r requirements-2.2.txt 2> >(quiet)
    .venv-2.2/bin/python prepare.py
    .venv-2.2/bin/python -c 'import mem0; assert mem0.__version__.startswith("2.2.")'
    cp requirements-2.2.txt .venv-2.2/installed.txt
fi

if ! cmp -s requirements-2.0.txt .venv-2.0/installed.txt; then
    echo "interop: installing mem0 2.0" >&2
    rm -rf .venv-2.0
    python3 -m venv --without-pip .venv-2.0
    .venv-2.2/bin/python -m pip --python .venv-2.0/bin/python install --quiet --disable-pip-version-check \
        --no-compile --no-deps -r requirements-2.0.txt 2> >(quiet)
    packages .venv-2.2/bin/python >"$(packages .venv-2.0/bin/python)/behind.pth"
    .venv-2.0/bin/python -c 'import mem0; assert mem0.__version__.startswith("2.0.")'
    cp requirements-2.0.txt .venv-2.0/installed.txt
fi
