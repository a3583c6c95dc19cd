// The `openai` package: chat completions, embeddings, models.

import OpenAI from "openai";

export const connect = (url, retries) =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey: "sk-caller", maxRetries: retries });

export const failure = (error) => ({
  kind: error.constructor.name,
  status: error.status ?? null,
  message: error.message,
});

export async function ask(url, wanted, answer) {
  const client = connect(url, wanted.retries);
  const content = [{ type: "text", text: wanted.text }];
  if (wanted.image) content.push({ type: "image_url", image_url: { url: wanted.image } });
  const asked = { model: wanted.model, messages: [{ role: "user", content }] };
  if (wanted.tool) asked.tools = [{ type: "function", function: wanted.tool }];
  if (wanted.schema) {
    const schema = { name: "person", strict: true, schema: wanted.schema };
    asked.response_format = { type: "json_schema", json_schema: schema };
  }
  if (wanted.reasoning) asked.reasoning_effort = "low";

  const message = await send(client, asked, wanted.stream, answer);
  if (message.tool_calls?.length) {
    const results = message.tool_calls.map((call) => ({
      role: "tool",
      tool_call_id: call.id,
      content: wanted.tool_result,
    }));
    asked.messages.push(message, ...results);
    await send(client, asked, wanted.stream, answer);
  }
  if (wanted.schema) answer.value = JSON.parse(answer.text);
}

async function send(client, asked, streamed, answer) {
  let completion;
  if (streamed) {
    const stream = client.chat.completions.stream({ ...asked, stream_options: { include_usage: true } });
    for await (const chunk of stream) {
      answer.add(chunk.choices[0]?.delta.content);
      think(chunk.choices[0]?.delta, answer);
    }
    completion = await stream.finalChatCompletion();
  } else {
    completion = await client.chat.completions.create(asked);
    answer.add(completion.choices[0].message.content);
    think(completion.choices[0].message, answer);
  }
  const { message, finish_reason: finish } = completion.choices[0];
  answer.finish = finish;
  answer.input_tokens = completion.usage.prompt_tokens;
  answer.output_tokens = completion.usage.completion_tokens;
  for (const { function: call } of message.tool_calls ?? []) {
    answer.calls.push({ name: call.name, arguments: JSON.parse(call.arguments) });
  }
  return message;
}

function think(said, answer) {
  answer.reasoning += said?.reasoning_content ?? "";
  answer.signed ||= said?.thinking_blocks?.some((block) => block.signature) ?? false;
}

export async function embed(url, { model, text }) {
  const { data } = await connect(url, 0).embeddings.create({ model, input: text });
  return data[0].embedding;
}

export async function models(url) {
  const ids = [];
  for await (const model of connect(url, 0).models.list()) ids.push(model.id);
  return ids;
}
