// Every scenario with the official JavaScript client; prints {scenario: what came of it} as JSON.
// `run.mjs validate` reads {"secret", "headers", "body"} instead and checks a webhook with the client's own helper.
import { readFileSync } from "node:fs";
import Replicate, { validateWebhook } from "replicate";

const { TOKEN, BASE_URL, HELLO, SHAPES, OWNER, PICTURE, WEBHOOK, TRAINER, TEXTS } = process.env;
const client = new Replicate({ auth: TOKEN ?? "none", baseUrl: `${BASE_URL}/v1` });
const [modelOwner, modelName] = (HELLO ?? "/").split("/");
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function train(more = {}) {
  const [trainer, version] = TRAINER.split(":");
  const stored = await client.files.create(new File([readFileSync(TEXTS)], "weather.csv"));
  const asked = { destination: `${OWNER}/weather`, input: { texts: stored.urls.get, ...more } };
  return client.trainings.create(...trainer.split("/"), version, asked);
}

const scenarios = {
  async run() {
    return (await client.run(HELLO, { input: { text: "you", times: 2 } })).join("");
  },
  async run_with_a_version() {
    const model = await client.models.get(modelOwner, modelName);
    return (await client.run(`${HELLO}:${model.latest_version.id}`, { input: { text: "you" } })).join("");
  },
  async stream() {
    const events = [];
    for await (const event of client.stream(HELLO, { input: { text: "you", times: 3 } })) events.push(event);
    const text = events.filter((one) => one.event === "output").map((one) => one.data).join("");
    return [text, events.at(-1).event, events.every((one) => one.id)];
  },
  async create_and_wait() {
    const made = await client.predictions.create({ model: HELLO, input: { text: "you" } });
    const done = await client.wait(made, {});
    return [done.status, done.output.join(""), done.metrics.predict_time >= 0];
  },
  async cancel() {
    let made = await client.predictions.create({ model: HELLO, input: { text: "slow", times: 50, seconds: 50 } });
    while (made.status === "starting") {
      await pause(200);
      made = await client.predictions.get(made.id);
    }
    await client.predictions.cancel(made.id);
    return (await client.predictions.get(made.id)).status;
  },
  async files() {
    const stored = await client.files.create(new File(["hello"], "a.txt"), { n: "one" });
    const seen = await client.files.get(stored.id);
    await client.files.delete(stored.id);
    const left = (await client.files.list()).results.map((one) => one.id);
    return [seen.name, seen.size, seen.metadata, left.includes(stored.id)];
  },
  async file_input() {
    return (await client.run(SHAPES, { input: { image: readFileSync(PICTURE) } })).boxes.length;
  },
  async models() {
    const [machine] = await client.hardware.list();
    const made = await client.models.create(OWNER, "js", { visibility: "private", hardware: machine.sku });
    return [made.name, made.visibility, (await client.models.get(OWNER, "js")).latest_version === null];
  },
  async search() {
    return (await client.models.search(modelName)).results.map((one) => `${one.owner}/${one.name}`);
  },
  async lists() {
    const [first] = (await client.predictions.list()).results;
    const slugs = (await client.collections.list()).results.map((one) => one.slug);
    return [["succeeded", "canceled"].includes(first.status), slugs];
  },
  async account() {
    return (await client.accounts.current()).username;
  },
  async refusal() {
    try {
      await client.run(HELLO, { input: { times: 1000 } });
    } catch (error) {
      return [error.response.status, error.message.includes("times")];
    }
  },
  async failure() {
    try {
      await client.run(SHAPES, { input: { image: new Blob(["no picture"]) } });
    } catch (error) {
      return error.message.includes("picture");
    }
  },
  async deployments() {
    const version = (await client.models.get(...HELLO.split("/"))).latest_version.id;
    const [machine] = await client.hardware.list();
    const made = await client.deployments.create({
      name: "js", model: HELLO, version, hardware: machine.sku, min_instances: 0, max_instances: 1,
    });
    const begun = await client.deployments.predictions.create(OWNER, "js", { input: { text: "you" } });
    const run = await client.wait(begun, {});
    const listed = (await client.deployments.list()).results.map((one) => one.name);
    await client.deployments.update(OWNER, "js", { max_instances: 0 });
    const number = (await client.deployments.get(OWNER, "js")).current_release.number;
    return [made.current_release.number, run.status, run.output.join(""), listed.includes("js"), number];
  },
  async trainings() {
    const [machine] = await client.hardware.list();
    await client.models.create(OWNER, "weather", { visibility: "private", hardware: machine.sku });
    let made = await train({ held_out: 5 });
    while (["starting", "processing"].includes(made.status)) {
      await pause(200);
      made = await client.trainings.get(made.id);
    }
    const listed = (await client.trainings.list()).results.map((one) => one.id).includes(made.id);
    const learnt = made.logs.includes("40 texts of 4 labels");
    const found = await client.run(made.output.version, { input: { text: "gusts blew over the coast" } });
    return [made.status, listed, learnt, found.label, made.output.weights.startsWith("http")];
  },
  async training_canceled() {
    const made = await train();
    await client.trainings.cancel(made.id);
    return (await client.trainings.get(made.id)).status;
  },
  async training_refused() {
    try {
      await train({ held_out: 1000 });
    } catch (error) {
      return [error.response.status, error.message.includes("held_out")];
    }
  },
  async webhook() {
    const made = await client.predictions.create({
      model: HELLO,
      input: { text: "you", times: 2, seconds: 1 },
      webhook: WEBHOOK,
      webhook_events_filter: ["start", "completed"],
    });
    await client.wait(made, {});
    return [made.id, (await client.webhooks.default.secret.get()).key];
  },
};

if (process.argv[2] === "validate") {
  const { secret, headers, body } = JSON.parse(readFileSync(0, "utf8"));
  const [id, timestamp, signature] = ["id", "timestamp", "signature"].map((name) => headers[`webhook-${name}`]);
  console.log(JSON.stringify(await validateWebhook({ id, timestamp, signature, body, secret })));
} else {
  const found = {};
  for (const [name, scenario] of Object.entries(scenarios)) {
    found[name] = await scenario().catch((error) => ({ error: String(error) }));
  }
  console.log(JSON.stringify(found));
}
