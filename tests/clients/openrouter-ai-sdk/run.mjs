// Every scenario with the AI SDK and OpenRouter's official provider for it; prints {scenario: what came of it} as JSON.
import { createOpenRouter } from "@openrouter/ai-sdk-provider";
import { APICallError, Output, generateText, isStepCount, streamText, tool } from "ai";
import { z } from "zod";

const { TOKEN, BASE_URL, MODEL, PICTURE } = process.env;
const City = z.object({ city: z.string() });
const client = (apiKey) => createOpenRouter({ apiKey, baseURL: `${BASE_URL}/api/v1` });
const ours = client(TOKEN);
const asking = (prompt, further) => ({ model: ours(MODEL), prompt, maxRetries: 0, ...further });
const refusal = (asked, told) =>
  asked.then(() => null, (error) => (APICallError.isInstance(error) ? told(error) : Promise.reject(error)));

const scenarios = {
  async plain() {
    const answer = await generateText(asking("Say hello", { instructions: "Be brief." }));
    return [answer.text, answer.finishReason, answer.usage.outputTokens > 0];
  },
  async streaming() {
    const pieces = [];
    const answer = streamText(asking("Say hello"));
    for await (const piece of answer.textStream) pieces.push(piece);
    return [pieces.join(""), pieces.length > 1 && (await answer.usage).outputTokens > 0];
  },
  async tools() {
    const asked = [];
    const execute = ({ city }) => (asked.push(city), "rain");
    const weather = tool({ description: "The weather in a city.", inputSchema: City, execute });
    const answer = streamText(asking("How is the weather?", { tools: { weather }, stopWhen: isStepCount(3) }));
    await answer.consumeStream();
    return [asked, await answer.text];
  },
  async structured() {
    return (await generateText(asking("Which city?", { output: Output.object({ schema: City }) }))).output.city;
  },
  async images() {
    const picture = { type: "file", mediaType: "image/png", data: Buffer.from(PICTURE, "base64") };
    const messages = [{ role: "user", content: [{ type: "text", text: "What is this?" }, picture] }];
    return (await generateText(asking(undefined, { messages }))).text;
  },
  wrong_key: () =>
    refusal(generateText(asking("Say hello", { model: client("sk-tp-v1-wrong")(MODEL) })), ({ statusCode }) => [
      statusCode,
    ]),
  unknown_model: () =>
    refusal(generateText(asking("Say hello", { model: ours("acme/none") })), ({ statusCode, message }) => [
      statusCode,
      message.includes("acme/none"),
    ]),
};

const told = {};
for (const [name, scenario] of Object.entries(scenarios))
  told[name] = await scenario().catch((error) => ({ error: String(error) }));
console.log(JSON.stringify(told));
