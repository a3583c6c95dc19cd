// Vercel's AI SDK with the provider for Amazon Bedrock, which signs and reads event streams.

import { createAmazonBedrock } from "@ai-sdk/amazon-bedrock";

import * as ai from "./ai.mjs";

export { failure } from "./ai.mjs";

const connect = (url) =>
  createAmazonBedrock({
    baseURL: url,
    region: "us-east-1",
    accessKeyId: "AKIAEMULATOR00000000",
    secretAccessKey: "emulator-secret-access-key",
  });

export const ask = (url, wanted, answer) => {
  const thinking = { bedrock: { reasoningConfig: { type: "enabled", budgetTokens: 1024 } } };
  return ai.ask(connect(url)(wanted.model), wanted, answer, wanted.reasoning ? thinking : {});
};

export const embed = (url, { model, text }) => ai.embed(connect(url).embeddingModel(model), text);
