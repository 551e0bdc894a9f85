// Drives mem0's MemoryClient for Node against BASE_URL: each public method, and known error cases.

import { createRequire } from "node:module";
import { strict as assert } from "node:assert";
import { randomUUID } from "node:crypto";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

process.env.MEM0_TELEMETRY = "false";
process.env.MEM0_DIR = mkdtempSync(join(tmpdir(), "mem0-"));
const mem0 = await import("mem0ai");
const entry = createRequire(import.meta.url).resolve("mem0ai");
const { version } = createRequire(import.meta.url)(join(entry, "../../package.json"));

const UNKNOWN = "00000000-0000-4000-8000-000000000000";
const run = randomUUID().slice(0, 8);
const app = `story-${run}`;
const book = `book-${run}`;
const base = setting("BASE_URL").replace(/\/$/, "");
const user = process.env.API_USER || "alice";
const otherUser = process.env.OTHER_USER || "bob";

const called = new Set();
const mine = client(setting("API_KEY"));
const other = client(setting("OTHER_KEY"));
const admin = process.env.ADMIN_KEY ? client(process.env.ADMIN_KEY) : undefined;
let failed = 0;

function setting(name) {
  if (process.env[name]) return process.env[name];
  console.error(`${name} is not set; see compat/README.md`);
  process.exit(1);
}

/** A client that records which of its methods were called. */
function client(apiKey) {
  const inner = new mem0.MemoryClient({ apiKey, host: base });
  return new Proxy(inner, {
    get(target, name) {
      const value = target[name];
      if (typeof value !== "function") return value;
      called.add(name);
      return value.bind(target);
    },
  });
}

class Skip extends Error {}

/** Runs one step; after a failed step the next ones still run. */
async function step(method, body) {
  const line = { client: "node", version, method, ok: true };
  try {
    const note = await body();
    if (note) line.note = String(note);
  } catch (error) {
    if (error instanceof Skip) {
      Object.assign(line, { ok: null, note: `skipped: ${error.message}` });
    } else {
      failed += 1;
      const where = /node\.mjs:\d+/.exec(error.stack ?? "")?.[0] ?? "";
      Object.assign(line, {
        ok: false,
        error: `${where}: ${error.constructor.name}: ${error.message}`.slice(0, 600),
      });
    }
  }
  console.log(JSON.stringify(line));
}

function needAdmin() {
  if (!admin) throw new Skip("ADMIN_KEY is not set");
  return admin;
}

const CLASS_OF_STATUS = {
  400: mem0.ValidationError,
  401: mem0.AuthenticationError,
  403: mem0.AuthenticationError,
  404: mem0.MemoryNotFoundError,
  405: mem0.MemoryError,
  422: mem0.ValidationError,
  503: mem0.NetworkError,
};

/** The call must fail with one of these statuses, in the client's class for it. */
async function refused(call, ...statuses) {
  let answer;
  try {
    answer = await call();
  } catch (error) {
    const status = Number(/^HTTP_(\d+)$/.exec(error.errorCode ?? "")?.[1]);
    assert(statuses.includes(status), `expected ${statuses}, got ${error.errorCode}: ${error.message}`);
    assert.equal(error.constructor, CLASS_OF_STATUS[status]);
    assert.equal(typeof JSON.parse(error.message).detail, "string", error.message);
    return status;
  }
  assert.fail(`expected ${statuses}, but it answered ${JSON.stringify(answer)}`);
}

/** As `refused`; in addition, no memory of either user may be lost. */
async function harmless(call, ...statuses) {
  const before = [await count(mine, user), await count(other, otherUser)];
  assert(before[0] && before[1], "nothing there that could be deleted");
  try {
    return await refused(call, ...statuses);
  } finally {
    assert.deepEqual([await count(mine, user), await count(other, otherUser)], before);
  }
}

/** The call must fail in the client or at the server, and no memory may be lost. */
async function fails(call) {
  const before = [await count(mine, user), await count(other, otherUser)];
  await assert.rejects(call);
  assert.deepEqual([await count(mine, user), await count(other, otherUser)], before);
}

async function count(who, userId) {
  const filters = { user_id: userId };
  return (await who.getAll({ filters, page: 1, pageSize: 1, showExpired: true })).count;
}

const says = (content, role = "user") => [{ role, content }];
const ids = (answer) => answer.results.map((result) => result.id);
const allOf = (scope) => ({
  AND: Object.entries({ user_id: user, ...scope }).map(([key, value]) => ({ [key]: value })),
});

async function add(text, options = {}, who = mine) {
  const answer = await who.add(says(text), { userId: user, infer: false, ...options });
  assert.equal(answer.results.length, 1);
  return answer.results[0].id;
}

let memory, dated, theirs, exportId;

await step("construct and ping", async () => {
  await mine.initialized;
  assert.equal(await mine.ping(), undefined);
  assert(mine.organizationId && mine.projectId, "ping must give an organisation and a project");
  assert(!mine.telemetryId.includes("@"), "an address here links telemetry identities");
});

await step("construct: wrong key", async () => {
  const stderr = console.error;
  console.error = () => {}; // the client prints the error that this asks for
  const wrong = new mem0.MemoryClient({ apiKey: "wrong-key", host: base });
  await wrong.initialized;
  console.error = stderr;
  return refused(() => wrong.get(UNKNOWN), 401);
});

await step("add", async () => {
  const messages = [...says("Alice drinks green tea"), ...says("Lisbon is in Portugal", "assistant")];
  const answer = await mine.add(messages, { userId: user, appId: app, infer: false });
  assert.deepEqual(
    answer.results.map((result) => result.data.memory).sort(),
    ["Alice drinks green tea", "Lisbon is in Portugal"],
  );
  assert.equal(answer.status, "SUCCEEDED");
  assert(answer.eventId);
  memory = answer.results.find((result) => result.memory === "Alice drinks green tea").id;
});

await step("add: metadata, timestamp, expiration date and every id", async () => {
  const metadata = { camelKey: 1, snake_key: { deep_key: [null, "ü"] } };
  dated = await add("Alice sailed to Porto", {
    appId: app, agentId: "pilot", runId: "trip", metadata,
    timestamp: 1700000000, expirationDate: "2099-12-31",
    customCategories: [{ myTrips: "journeys" }],
  });
  const got = await mine.get(dated);
  assert.deepEqual(got.metadata, metadata);
  assert.deepEqual([got.userId, got.appId, got.agentId, got.runId], [user, app, "pilot", "trip"]);
  assert.match(got.createdAt, /^2023-11-14T22:13:20/);
  assert.equal(got.expirationDate, "2099-12-31");
});

await step("add: infer", async () => {
  const answer = await mine.add(says("Alice rows on Sundays"), { userId: user, appId: app });
  assert(answer.results.length > 0);
  if (answer.results[0].memory === "Alice rows on Sundays") return "no LLM: stored as it stands";
});

await step("add: messages as a string", async () => {
  try {
    const answer = await mine.add("Alice types no brackets", { userId: user, appId: app, infer: false });
    assert.equal(answer.results[0].memory, "Alice types no brackets");
    return "taken as one message";
  } catch (error) {
    if (!(error instanceof mem0.ValidationError)) throw error;
    return error.errorCode;
  }
});

await step("add: no messages", () => fails(() => mine.add([], { userId: user })));

await step("add: another's user_id", async () => {
  theirs = await add("Bob hides gold in Lisbon", { userId: otherUser }, other);
  return refused(() => add("x", { userId: otherUser }), 403);
});

await step("search", async () => {
  const plain = await mine.search("green tea", { filters: { user_id: user } });
  assert(ids(plain).includes(memory));
  const either = { OR: [{ agent_id: "pilot" }, { agent_id: "nobody" }] };
  const filters = { AND: [{ user_id: user }, { app_id: app }, either] };
  assert.deepEqual(ids(await mine.search("Porto", { filters })), [dated]);
});

await step("search: topK, threshold, rerank, keywordSearch, fields", async () => {
  const options = { topK: 1, threshold: 0.2, rerank: true, keywordSearch: true };
  const answer = await mine.search("green tea", { filters: allOf({ app_id: app }), ...options });
  assert.deepEqual(ids(answer), [memory]);
  assert(answer.results[0].score >= 0.2);
  const few = await mine.search("green tea", { filters: allOf({ app_id: app }), fields: ["memory"] });
  assert(few.results[0].memory && !("metadata" in few.results[0]), JSON.stringify(few.results[0]));
});

await step("search: expired and categories", async () => {
  const old = await add("Alice rents a barge", { appId: app, expirationDate: "2020-01-01" });
  const filters = allOf({ app_id: app });
  assert(!ids(await mine.search("Alice rents a barge", { filters })).includes(old));
  assert(ids(await mine.search("Alice rents a barge", { filters, showExpired: true })).includes(old));
  const none = await mine.search("tea", { filters, categories: ["no-such-category"] });
  assert.deepEqual(none.results, []);
});

await step("search: blank", () => refused(() => mine.search("  ", { filters: { user_id: user } }), 400, 422));

await step("search: ids beside filters", async () => {
  await assert.rejects(() => mine.search("tea", { userId: user }), /Top-level entity/);
  return "refused by the client";
});

await step("search: another's memories", async () => {
  const answer = await mine.search("Bob hides gold", { filters: { user_id: user } });
  assert(!ids(answer).includes(theirs));
  return refused(() => mine.search("gold", { filters: { user_id: otherUser } }), 403);
});

await step("getAll: three pages", async () => {
  const added = [];
  for (let start = 0; start < 250; start += 50) {
    const messages = Array.from({ length: 50 }, (_, i) => says(`Page ${start + i} of the book`)[0]);
    added.push(...ids(await mine.add(messages, { userId: user, appId: book, infer: false })));
  }
  const seen = [];
  for (const [page, size] of [[1, 100], [2, 100], [3, 50]]) {
    const answer = await mine.getAll({ filters: allOf({ app_id: book }), page, pageSize: 100 });
    assert.deepEqual([answer.count, answer.results.length], [250, size]);
    assert.deepEqual([!!answer.next, !!answer.previous], [page < 3, page > 1]);
    seen.push(...ids(answer));
  }
  assert.equal(new Set(seen).size, 250, "a memory came twice or not at all");
  assert.deepEqual(seen.toSorted(), added.toSorted());
});

await step("getAll: dates, expired, nothing", async () => {
  const filters = allOf({ app_id: app });
  const some = await mine.getAll({ filters, startDate: "2023-11-01", endDate: "2023-12-01" });
  assert.deepEqual(ids(some), [dated]);
  const [plain, shown] = [await mine.getAll({ filters }), await mine.getAll({ filters, showExpired: true })];
  assert.equal(shown.count, plain.count + 1);
  return refused(() => mine.getAll({ filters: { user_id: otherUser } }), 403);
});

await step("get: unknown, not an id, another's", async () => {
  await refused(() => mine.get("a/b"), 400, 404, 422);
  await refused(() => mine.get(theirs), 404);
  return refused(() => mine.get(UNKNOWN), 404);
});

await step("update", async () => {
  const answer = await mine.update(memory, {
    text: "Alice drinks oolong", metadata: { cupSize: 2 }, expirationDate: "2098-01-02",
  });
  assert.deepEqual([answer.id, answer.memory], [memory, "Alice drinks oolong"]);
  await mine.update(memory, { expirationDate: null });
  const got = await mine.get(memory);
  assert.deepEqual([got.memory, got.metadata.cupSize], ["Alice drinks oolong", 2]);
  assert.equal(got.expirationDate ?? null, null);
  return refused(() => mine.update(theirs, { text: "x" }), 404);
});

await step("history", async () => {
  const rows = await mine.history(memory);
  assert(rows.every((row) => row.memoryId === memory));
  assert(rows.some((row) => row.event === "ADD" && row.newMemory === "Alice drinks green tea"));
  assert(rows.some((row) => row.event === "UPDATE" && row.newMemory === "Alice drinks oolong"));
});

await step("feedback", async () => {
  const answer = await mine.feedback({ memoryId: memory, feedback: "POSITIVE", feedbackReason: "right" });
  assert.deepEqual([answer.feedback, answer.feedbackReason], ["POSITIVE", "right"]);
  return refused(() => mine.feedback({ memoryId: theirs, feedback: "POSITIVE" }), 404);
});

await step("batchUpdate and batchDelete", async () => {
  const batch = [await add("one", { appId: app }), await add("two", { appId: app })];
  assert((await mine.batchUpdate(batch.map((memoryId) => ({ memoryId, text: "both" })))).message);
  for (const id of batch) assert.equal((await mine.get(id)).memory, "both");
  await harmless(() => mine.batchDelete([theirs]), 404);
  assert((await mine.batchDelete(batch)).message);
  for (const id of batch) await refused(() => mine.get(id), 404);
});

await step("users", async () => {
  const { results } = await mine.users();
  const row = results.find(({ type, name }) => type === "app" && name === book);
  assert.equal(row?.totalMemories, 250);
  assert(!results.some(({ type, name }) => type === "user" && name === otherUser));
  const page = await mine.users({ page: 1, pageSize: 1 });
  assert.deepEqual([page.count, page.results.length], [results.length, 1]);
});

await step("deleteUser and deleteUsers: odd names", async () => {
  for (const agentId of ["a/b", "ä@b.c+d", "50%?#"]) {
    const deleted = await add("Alice's", { agentId });
    await mine.deleteUsers({ agentId });
    await refused(() => mine.get(deleted), 404);
  }
  const deleted = await add("Alice's", { agentId: "a/b" });
  const kept = await add("kept", { agentId: "a" });
  assert((await mine.deleteUser({ entity_id: "a/b", entity_type: "agent" })).message);
  await refused(() => mine.get(deleted), 404);
  assert.equal((await mine.get(kept)).memory, "kept");
});

await step("deleteUsers: another user and dots", async () => {
  await fails(() => mine.deleteUsers({ userId: otherUser }));
  await fails(() => mine.deleteUsers({ userId: "." }));
  await fails(() => mine.deleteUsers({ userId: ".." }));
});

await step("createMemoryExport and getMemoryExport", async () => {
  const schema = { type: "object", properties: { petNames: { type: "array" } } };
  const filters = allOf({ app_id: app });
  exportId = (await mine.createMemoryExport({ schema, filters, exportInstructions: "short" })).id;
  assert(exportId);
  assert.equal(typeof (await mine.getMemoryExport({ memoryExportId: exportId })), "object");
  assert(!JSON.stringify(await mine.getMemoryExport({ filters })).includes("gold"));
  return refused(() => other.getMemoryExport({ memoryExportId: exportId }), 404);
});

await step("profiles", async () => {
  const calls = {
    getProfile: () => mine.getProfile({ entityId: user }),
    generateProfile: () => mine.generateProfile({ entityId: user, idempotencyKey: run }),
    getProfileSettings: () => mine.getProfileSettings(),
    updateProfileSettings: () => mine.updateProfileSettings({ enabled: false }),
    sampleProfiles: () => mine.sampleProfiles({ limit: 1 }),
    getProfileJob: () => mine.getProfileJob(UNKNOWN),
  };
  const notes = [];
  for (const [method, call] of Object.entries(calls)) {
    try {
      assert.equal(typeof (await call()), "object");
      notes.push(`${method} 200`);
    } catch (error) {
      if (!/^HTTP_(400|403|404|422|501|503)$/.test(error.errorCode ?? "")) throw error;
      notes.push(`${method} ${error.errorCode.slice(5)}`);
    }
  }
  return notes.join(", ");
});

await step("getProject and updateProject", async () => {
  const fields = ["customInstructions", "customCategories"];
  const mineNow = await mine.getProject({ fields });
  assert(fields.every((field) => field in mineNow), JSON.stringify(mineNow));
  needAdmin();
  const before = await admin.getProject({ fields });
  const customCategories = [{ myFood: "what is eaten" }];
  await admin.updateProject({ customInstructions: "short", customCategories });
  const after = await admin.getProject({ fields });
  assert.deepEqual([after.customInstructions, after.customCategories], ["short", customCategories]);
  const customInstructions = before.customInstructions ?? "";
  await admin.updateProject({ customInstructions, customCategories: before.customCategories ?? [] });
});

await step("webhooks: by a user key", async () => {
  await refused(() => mine.getWebhooks(), 403);
  const webhook = { name: "n", url: "https://example.com/hook", eventTypes: ["memory_add"] };
  return refused(() => mine.createWebhook(webhook), 403);
});

await step("webhooks", async () => {
  needAdmin();
  const webhook = { name: "story", url: "https://example.com/hook", eventTypes: ["memory_delete"] };
  const { webhookId, ...made } = await admin.createWebhook(webhook);
  assert.deepEqual([made.name, made.url, made.eventTypes], Object.values(webhook));
  const nameNow = async () => {
    const hooks = await admin.getWebhooks({ projectId: admin.projectId });
    return hooks.find((hook) => hook.webhookId === webhookId)?.name;
  };
  try {
    assert.equal(await nameNow(), "story");
    assert(await admin.updateWebhook({ webhookId, name: "renamed" }));
    assert.equal(await nameNow(), "renamed");
  } finally {
    assert(await admin.deleteWebhook({ webhookId }));
  }
  assert.equal(await nameNow(), undefined);
});

await step("delete", async () => {
  await refused(() => mine.delete(UNKNOWN), 404);
  await harmless(() => mine.delete(theirs), 404);
  await harmless(() => mine.delete("."), 400, 404, 405, 422);
  await harmless(() => mine.delete(".."), 400, 404, 405, 422);
  assert((await mine.delete(memory)).message);
  await refused(() => mine.get(memory), 404);
  const linked = await add("Alice paints", { appId: app });
  assert((await mine.delete(linked, { deleteLinked: true })).message);
  await refused(() => mine.get(linked), 404);
});

await step("deleteAll: filters sent as [object Object]", async () => {
  const filters = { user_id: user };
  await harmless(() => mine.deleteAll({ filters }), 400, 422);
  return harmless(() => mine.deleteAll({ userId: user, filters }), 400, 422);
});

await step("deleteAll: no filter, another user", async () => {
  await harmless(() => mine.deleteAll(), 400, 422);
  await harmless(() => mine.deleteAll({ userId: "" }), 400, 422);
  return harmless(() => mine.deleteAll({ userId: otherUser }), 403);
});

await step("deleteAll", async () => {
  const before = await count(mine, user);
  assert((await mine.deleteAll({ userId: user, appId: book })).message);
  assert.equal(await count(mine, user), before - 250, "not only the 250 of the scope were deleted");
});

await step("deleteUsers: everything", async () => {
  await add("with every id", { agentId: "last", appId: "last", runId: "last" });
  const theirsBefore = await count(other, otherUser);
  assert((await mine.deleteUsers()).message);
  assert.equal(await count(mine, user), 0);
  assert.equal(await count(other, otherUser), theirsBefore);
  await other.deleteAll({ userId: otherUser });
});

await step("every public method was called", async () => {
  needAdmin();
  const methods = Object.getOwnPropertyNames(mem0.MemoryClient.prototype);
  const open = methods.filter((name) => name !== "constructor" && !name.startsWith("_"));
  assert.deepEqual(open.filter((name) => !called.has(name)), []);
  return `${open.length} methods`;
});

process.exit(failed ? 1 : 0);
