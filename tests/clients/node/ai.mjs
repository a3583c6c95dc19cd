// Vercel's AI SDK: what is the same for all of its providers.

import { APICallError, embed as embedOne, generateText, jsonSchema, Output, stepCountIs, streamText, tool } from "ai";

// Errors wrap errors here: one of retries holds the last one, and that one may have been made from an HTTP answer.
export function failure(error) {
  const last = error.lastError ?? error;
  return {
    kind: last.name ?? last.constructor.name,
    status: last.statusCode ?? null,
    message: `${last.message} ${APICallError.isInstance(last) ? (last.responseBody ?? "") : ""}`,
  };
}

export async function ask(model, wanted, answer, providerOptions = {}) {
  const content = [{ type: "text", text: wanted.text }];
  if (wanted.image) content.push({ type: "file", mediaType: "image/png", data: wanted.image });
  const asked = { model, maxRetries: wanted.retries, messages: [{ role: "user", content }], providerOptions };
  if (wanted.tool) {
    const { name, description, parameters } = wanted.tool;
    const execute = async (given) => {
      answer.calls.push({ name, arguments: given });
      return wanted.tool_result;
    };
    asked.tools = { [name]: tool({ description, inputSchema: jsonSchema(parameters), execute }) };
    asked.stopWhen = stepCountIs(3);
  }
  if (wanted.schema) asked.output = Output.object({ schema: jsonSchema(wanted.schema) });

  let result;
  if (wanted.stream) {
    result = streamText({ ...asked, onError: () => {} });
    for await (const part of result.fullStream) {
      if (part.type === "text-delta") answer.add(part.text);
      if (part.type === "error") throw part.error instanceof Error ? part.error : new StreamError(part.error);
    }
  } else {
    result = await generateText(asked);
    answer.add(await result.text);
  }
  const last = (await result.steps).at(-1);
  answer.finish = await result.finishReason;
  answer.input_tokens = last.usage.inputTokens;
  answer.output_tokens = last.usage.outputTokens;
  for (const part of await result.reasoning) {
    answer.reasoning += part.text;
    answer.signed ||= JSON.stringify(part.providerOptions ?? part.providerMetadata ?? {}).includes("signature");
  }
  if (wanted.schema) answer.value = await result.output;
}

// What a stream tells of an error need not be an Error.
class StreamError extends Error {
  name = "StreamError";

  constructor(told) {
    super(typeof told === "string" ? told : JSON.stringify(told));
  }
}

export async function embed(model, text) {
  const { embedding } = await embedOne({ model, value: text, maxRetries: 0 });
  return embedding;
}
