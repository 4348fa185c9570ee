// Every scenario with Anthropic's official JavaScript client; prints {scenario: what came of it} as JSON.
import Anthropic, { APIError, AuthenticationError } from "@anthropic-ai/sdk";

const { TOKEN, BASE_URL, MODEL: model, PICTURE } = process.env;
const city = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
const tools = [{ name: "weather", description: "The weather in a city.", input_schema: city }];
const client = (apiKey) => new Anthropic({ apiKey, baseURL: `${BASE_URL}/api`, maxRetries: 0 });
const claude = client(TOKEN);
const user = (content) => ({ role: "user", content });
const asking = (content, further) => ({ model, max_tokens: 100, messages: [user(content)], ...further });
const ask = (content, { by = claude, ...further } = {}) => by.messages.create(asking(content, further));
const textOf = ({ content }) => content.filter((block) => block.type === "text").map((block) => block.text).join("");
const refusal = (kind, asked, told) =>
  asked.then(() => null, (error) => (error instanceof kind ? told(error) : Promise.reject(error)));

const scenarios = {
  async plain() {
    const answer = await ask("Say hello", { system: "Be brief." });
    return [textOf(answer), answer.stop_reason, answer.usage.output_tokens > 0];
  },
  async streaming() {
    const pieces = [];
    const whole = await claude.messages.stream(asking("Say hello")).on("text", (text) => pieces.push(text)).finalText();
    return [whole, pieces.length > 1 && pieces.join("") === whole];
  },
  async tools() {
    const called = await claude.messages.stream(asking("How is the weather?", { tools })).finalMessage();
    const calls = called.content.filter((block) => block.type === "tool_use");
    const results = calls.map((call) => ({ type: "tool_result", tool_use_id: call.id, content: "rain" }));
    const turns = [user("How is the weather?"), { role: "assistant", content: called.content }, user(results)];
    return [calls.map((call) => call.input.city), textOf(await ask("", { messages: turns, tools }))];
  },
  async structured() {
    const format = { type: "json_schema", schema: city };
    return (await claude.messages.parse(asking("Which city?", { output_config: { format } }))).parsed_output.city;
  },
  async images() {
    const source = { type: "base64", media_type: "image/png", data: PICTURE };
    return textOf(await ask([{ type: "text", text: "What is this?" }, { type: "image", source }]));
  },
  wrong_key: () =>
    refusal(AuthenticationError, ask("Say hello", { by: client("sk-tp-v1-wrong") }), ({ status, type }) => [
      status,
      type,
    ]),
  unknown_model: () =>
    refusal(APIError, ask("Say hello", { model: "acme/none" }), ({ status, message }) => [
      status,
      message.includes("acme/none"),
    ]),
  async counts() {
    return (await claude.messages.countTokens({ model, messages: [user("Say hello")] })).input_tokens > 0;
  },
};

const told = {};
for (const [name, scenario] of Object.entries(scenarios))
  told[name] = await scenario().catch((error) => ({ error: String(error) }));
console.log(JSON.stringify(told));
