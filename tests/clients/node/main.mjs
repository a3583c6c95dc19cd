// Drives the JavaScript clients: a line of JSON on standard input asks, a line on standard output answers.
//
// {"client", "action": "ask" | "embed" | "models", "url", "ask"} → {"answer"} or {"failed"}: a defect of the driver.
// `answer` has the fields of tests/clients/exchange.py, where they are told.

import dns from "node:dns";
import { createInterface } from "node:readline";

// A client that wants to reach anything but the gateway, which is given by its address, has to look a name up.
dns.lookup = (name) => {
  throw new Error(`a client looked up ${name}`);
};
dns.promises.lookup = dns.lookup;

const MODULES = {
  "openai-node-chat": "./openai_chat.mjs",
  "openai-node-responses": "./openai_responses.mjs",
  "ai-openai-compatible": "./ai_openai_compatible.mjs",
  "ai-amazon-bedrock": "./ai_amazon_bedrock.mjs",
};

// Clients wait before they try again, and nobody wants to wait for that here: what is that long and no longer
// happens at once, and is told. Time limits, and the life of idle connections, are longer.
globalThis.AI_SDK_LOG_WARNINGS = false;
const waits = [];
const { setTimeout: later } = globalThis;
globalThis.setTimeout = (work, delay, ...rest) => {
  if (delay >= 100 && delay <= 2_000) {
    waits.push(delay / 1000);
    delay = 0;
  }
  return later(work, delay, ...rest);
};

class Answer {
  text = "";
  pieces = 0;
  finish = "";
  input_tokens = 0;
  output_tokens = 0;
  reasoning = "";
  signed = false;
  calls = [];
  value = null;
  error = null;

  add(text) {
    if (text) {
      this.text += text;
      this.pieces += 1;
    }
  }
}

async function perform({ client, action, url, ask }) {
  const driver = await import(MODULES[client]);
  if (action !== "ask") return driver[action](url, ask);
  const answer = new Answer();
  waits.length = 0;
  try {
    await driver.ask(url, ask, answer);
  } catch (error) {
    if (error instanceof TypeError || error instanceof ReferenceError) throw error;
    answer.error = driver.failure(error);
  }
  return { ...answer, waits: [...waits] };
}

for await (const line of createInterface({ input: process.stdin })) {
  let told;
  try {
    told = { answer: await perform(JSON.parse(line)) };
  } catch (error) {
    told = { failed: String(error.stack ?? error) };
  }
  process.stdout.write(`${JSON.stringify(told)}\n`);
}
