#!/bin/sh
# Store, search and delete memories with curl.
set -eu
base=${BASE_URL:-http://127.0.0.1:8000}
key=${API_KEY:-any}

# call METHOD PATH [JSON]: prints the answer; an error of the server is printed and ends the script.
call() {
  curl --silent --show-error --fail-with-body --request "$1" "$base$2" \
    --header "X-API-Key: $key" --header 'Content-Type: application/json' ${3:+--data "$3"}
}

# Without jq: the values of a key whose values are text.
values() { grep -o "\"$1\":\"[^\"]*\"" | cut -d '"' -f 4; }

stored=$(call POST /memories '{
  "user_id": "alice",
  "messages": [
    {"role": "user", "content": "We moved to Lisbon in May."},
    {"role": "user", "content": "I am allergic to peanuts."}
  ],
  "infer": false
}')
ids=$(echo "$stored" | values id)
echo "stored $(echo "$ids" | wc -l | tr -d ' ') memories"

# Only memories of this user are searched. The best hit is first.
question="where do we live?"
found=$(call POST /memories/search "{\"query\": \"$question\", \"user_id\": \"alice\", \"top_k\": 1}")
echo "$question $(echo "$found" | values memory)"

for id in $ids; do
  call DELETE "/memories/$id" >/dev/null
done
echo "deleted $(echo "$ids" | wc -l | tr -d ' ') memories"
