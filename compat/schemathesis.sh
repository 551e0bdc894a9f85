#!/usr/bin/env bash
# Throws generated requests at every route of a running server and holds its answers against its OpenAPI document: no 5xx, no
# undocumented status, no answer off its schema, no route that forgets to ask for a key.
# usage: ADMIN_KEY=… compat/schemathesis.sh BASE_URL [EXAMPLES]    (a server made for the test: everything in it is at risk)
set -euo pipefail
cd "$(dirname "$0")"
base=${1:?usage: ADMIN_KEY=… compat/schemathesis.sh BASE_URL [EXAMPLES]}
examples=${2:-100}
if [ ! -x .venv-schemathesis/bin/schemathesis ]; then
    python3 -m venv .venv-schemathesis
    .venv-schemathesis/bin/python -m pip install --quiet --disable-pip-version-check schemathesis==4.32.5
fi
# Both headers: otherwise it invents the other one, and two different keys are refused.
# Without a language model these answer 503, as documented.
exec .venv-schemathesis/bin/schemathesis run "$base/openapi.json" --header "X-API-Key: ${ADMIN_KEY:?is not set}" --header "Authorization: Bearer $ADMIN_KEY" \
    --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,ignored_auth \
    --exclude-path /chat --exclude-path /generate-instructions --exclude-path /v1/summary --exclude-path /v2/profiles/settings \
    --phases examples,coverage,fuzzing --max-examples "$examples" --continue-on-failure
