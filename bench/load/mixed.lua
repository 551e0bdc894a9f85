-- wrk script: nine searches, then one add (ADD_EVERY=0: searches only), each for one of 100 users with that user's own key.
-- The keys are key0 … key99; run.sh creates the store and the keys.
local words = {
  "tea", "coffee", "Lisbon", "Maria", "guitar", "marathon", "garden", "kitchen", "train", "novel", "dentist", "bicycle",
  "violin", "harbour", "recipe", "passport", "sister", "birthday", "hiking", "museum",
}
local add_every = tonumber(os.getenv("ADD_EVERY") or "10")
local count = 0
local threads = 0

function setup(thread)
  thread:set("seed", threads)
  threads = threads + 1
end

function init(_)
  math.randomseed(42 + seed)
end

local function word() return words[math.random(#words)] end

function request()
  count = count + 1
  local headers = { ["Content-Type"] = "application/json", ["X-API-Key"] = "key" .. math.random(0, 99) }
  if add_every > 0 and count % add_every == 0 then
    local text = string.format("On day %d I saw %s and talked about %s in the %s", count, word(), word(), word())
    local body = string.format('{"messages":[{"role":"user","content":"%s"}],"infer":false}', text)
    return wrk.format("POST", "/memories", headers, body)
  end
  local body = string.format('{"query":"When did I talk about %s or %s?","top_k":10}', word(), word())
  return wrk.format("POST", "/search", headers, body)
end

function done(summary, latency, _)
  io.write(string.format(
    "requests %d in %.1f s, %.0f a second; p50 %.2f ms, p90 %.2f ms, p99 %.2f ms, max %.2f ms\n",
    summary.requests, summary.duration / 1e6, summary.requests / (summary.duration / 1e6),
    latency:percentile(50) / 1e3, latency:percentile(90) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3))
  io.write(string.format(
    "not 200: %d; connect, read, write, timeout errors: %d %d %d %d\n", summary.errors.status,
    summary.errors.connect, summary.errors.read, summary.errors.write, summary.errors.timeout))
end
