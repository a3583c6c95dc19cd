// The `openai` package: responses, without a state on the server.

import { connect, failure } from "./openai_chat.mjs";

export { failure };

export async function ask(url, wanted, answer) {
  const client = connect(url, wanted.retries);
  const content = [{ type: "input_text", text: wanted.text }];
  if (wanted.image) content.push({ type: "input_image", image_url: wanted.image, detail: "auto" });
  const asked = { model: wanted.model, input: [{ role: "user", content }], store: false };
  if (wanted.tool) asked.tools = [{ type: "function", strict: true, ...wanted.tool }];
  if (wanted.schema) {
    asked.text = { format: { type: "json_schema", name: "person", strict: true, schema: wanted.schema } };
  }
  if (wanted.reasoning) {
    asked.reasoning = { effort: "low", summary: "auto" };
    asked.include = ["reasoning.encrypted_content"];
  }

  const output = await send(client, asked, wanted.stream, answer);
  const calls = output.filter((item) => item.type === "function_call");
  if (calls.length) {
    const results = calls.map((call) => ({
      type: "function_call_output",
      call_id: call.call_id,
      output: wanted.tool_result,
    }));
    asked.input.push(...output, ...results);
    await send(client, asked, wanted.stream, answer);
  }
  if (wanted.schema) answer.value = JSON.parse(answer.text);
}

async function send(client, asked, streamed, answer) {
  let response;
  if (streamed) {
    const stream = client.responses.stream(asked);
    for await (const event of stream) {
      if (event.type === "response.output_text.delta") answer.add(event.delta);
    }
    response = await stream.finalResponse();
  } else {
    response = await client.responses.create(asked);
    answer.add(response.output_text);
  }
  answer.finish = response.status;
  answer.input_tokens = response.usage.input_tokens;
  answer.output_tokens = response.usage.output_tokens;
  for (const item of response.output) {
    if (item.type === "function_call") {
      answer.calls.push({ name: item.name, arguments: JSON.parse(item.arguments) });
    }
    if (item.type === "reasoning") {
      const pieces = [...(item.summary ?? []), ...(item.content ?? [])];
      answer.reasoning += pieces.map((piece) => piece.text).join("");
      answer.signed = Boolean(item.encrypted_content);
    }
  }
  return response.output;
}
