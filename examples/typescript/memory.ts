// Store, search and delete memories with mem0's own client (`npm install mem0ai`): only its host differs.

// mem0's client reports its use to its maker unless this is set before it is imported.
process.env.MEM0_TELEMETRY ??= "false";
const { MemoryClient } = await import("mem0ai");

type Added = { results: { id: string; memory: string }[] };

const client = new MemoryClient({
  apiKey: process.env.API_KEY ?? "any",
  host: process.env.BASE_URL ?? "http://127.0.0.1:8000",
});

const messages = [
  { role: "user" as const, content: "We moved to Lisbon in May." },
  { role: "user" as const, content: "I am allergic to peanuts." },
];
// The declared type of `add` is that of an older version; this is what it returns.
const added = (await client.add(messages, { userId: "alice", infer: false })) as unknown as Added;
const stored = added.results;
console.log(`stored ${stored.length} memories`);

// Only memories of this user are searched. The best hit is first.
const question = "where do we live?";
const found = await client.search(question, { filters: { user_id: "alice" }, topK: 1 });
console.log(question, found.results[0].memory);

for (const memory of stored) {
  await client.delete(memory.id);
}
console.log(`deleted ${stored.length} memories`);
