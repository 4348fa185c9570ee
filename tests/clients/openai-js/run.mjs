// Every scenario with OpenAI's official JavaScript client; prints {scenario: what came of it} as JSON.
// `run.mjs chat` asks through Chat Completions, `run.mjs responses` through Responses.
import OpenAI, { APIError, AuthenticationError } from "openai";

const { TOKEN, BASE_URL, MODEL: model } = process.env;
const PICTURE = `data:image/png;base64,${process.env.PICTURE}`;
const parameters = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
const weather = { name: "weather", description: "The weather in a city.", parameters, strict: true };
const client = (apiKey) => new OpenAI({ apiKey, baseURL: `${BASE_URL}/api/v1`, maxRetries: 0 });
const ours = client(TOKEN);
const user = (content) => ({ role: "user", content });

const chat = {
  ask: (content, { by = ours, ...further } = {}) =>
    by.chat.completions.create({ model, messages: [user(content)], ...further }),
  async plain() {
    const answer = await this.ask("Say hello", { max_completion_tokens: 50 });
    return [answer.choices[0].message.content, answer.choices[0].finish_reason, answer.usage.completion_tokens > 0];
  },
  async streaming() {
    const pieces = [];
    for await (const chunk of await this.ask("Say hello", { stream: true }))
      if (chunk.choices[0]?.delta.content) pieces.push(chunk.choices[0].delta.content);
    return [pieces.join(""), pieces.length > 1];
  },
  async tools() {
    const asked = [];
    const run = (args) => (asked.push(args.city), "rain");
    const tools = [{ type: "function", function: { ...weather, parse: JSON.parse, function: run } }];
    const messages = [user("How is the weather?")];
    const text = await ours.chat.completions.runTools({ model, messages, tools, stream: true }).finalContent();
    return [asked, text];
  },
  async structured() {
    const response_format = { type: "json_schema", json_schema: { name: "city", strict: true, schema: parameters } };
    return JSON.parse((await this.ask("Which city?", { response_format })).choices[0].message.content).city;
  },
  async images() {
    const picture = { type: "image_url", image_url: { url: PICTURE } };
    return (await this.ask([{ type: "text", text: "What is this?" }, picture])).choices[0].message.content;
  },
};

const responses = {
  ask: (content, { by = ours, ...further } = {}) =>
    by.responses.create({ model, input: [user(content)], store: false, ...further }),
  async plain() {
    const answer = await this.ask("Say hello", { instructions: "Be brief." });
    return [answer.output_text, answer.status, answer.usage.output_tokens > 0];
  },
  async streaming() {
    const pieces = [];
    const stream = ours.responses.stream({ model, input: "Say hello", store: false });
    stream.on("response.output_text.delta", (event) => pieces.push(event.delta));
    const whole = (await stream.finalResponse()).output_text;
    return [whole, pieces.length > 1 && pieces.join("") === whole];
  },
  async tools() {
    const [tools, turns] = [[{ type: "function", ...weather }], [user("How is the weather?")]];
    const { output } = await ours.responses.stream({ model, input: turns, tools, store: false }).finalResponse();
    const calls = output.filter((item) => item.type === "function_call");
    const results = calls.map(({ call_id }) => ({ type: "function_call_output", call_id, output: "rain" }));
    const input = [...turns, ...output, ...results];
    const answer = await ours.responses.create({ model, input, tools, store: false });
    return [calls.map((call) => JSON.parse(call.arguments).city), answer.output_text];
  },
  async structured() {
    const format = { type: "json_schema", name: "city", strict: true, schema: parameters };
    const answer = await ours.responses.parse({ model, input: "Which city?", text: { format }, store: false });
    return answer.output_parsed.city;
  },
  async images() {
    const picture = { type: "input_image", image_url: PICTURE, detail: "auto" };
    return (await this.ask([{ type: "input_text", text: "What is this?" }, picture])).output_text;
  },
};

const api = { chat, responses }[process.argv[2]];
const refusal = (kind, asked, told) =>
  asked.then(() => null, (error) => (error instanceof kind ? told(error) : Promise.reject(error)));
const scenarios = {
  plain: () => api.plain(),
  streaming: () => api.streaming(),
  tools: () => api.tools(),
  structured: () => api.structured(),
  images: () => api.images(),
  wrong_key: () =>
    refusal(AuthenticationError, api.ask("Say hello", { by: client("sk-tp-v1-wrong") }), ({ status, code }) => [
      status,
      code,
    ]),
  unknown_model: () =>
    refusal(APIError, api.ask("Say hello", { model: "acme/none" }), ({ status, message }) => [
      status,
      message.includes("acme/none"),
    ]),
};

const told = {};
for (const [name, scenario] of Object.entries(scenarios))
  told[name] = await scenario().catch((error) => ({ error: String(error) }));
console.log(JSON.stringify(told));
