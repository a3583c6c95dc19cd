// Vercel's AI SDK with the provider for whatever speaks OpenAI's chat completions.

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";

import * as ai from "./ai.mjs";

export { failure } from "./ai.mjs";

const connect = (url) =>
  createOpenAICompatible({
    name: "gateway",
    baseURL: `${url}/v1`,
    apiKey: "sk-caller",
    includeUsage: true,
    supportsStructuredOutputs: true,
  });

export const ask = (url, wanted, answer) =>
  ai.ask(connect(url)(wanted.model), wanted, answer, wanted.reasoning ? { gateway: { reasoningEffort: "low" } } : {});

export const embed = (url, { model, text }) => ai.embed(connect(url).embeddingModel(model), text);
