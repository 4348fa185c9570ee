// The chat playground: asks for the session's short-lived key, streams POST /api/v1/chat/completions.
import { readEvents } from "./lib/events.js";

const SETTINGS = { system: "#chat-system", temperature: "#chat-temperature", max_tokens: "#chat-max-tokens" };

class Chat {
  constructor(root) {
    this.root = root;
    this.log = root.querySelector("[data-chat-log]");
    this.form = root.querySelector("[data-chat-form]");
    this.input = this.form.querySelector("textarea");
    this.send = this.form.querySelector("[type=submit]");
    this.stop = this.form.querySelector("[data-chat-stop]");
    this.messages = [];
    this.key = null;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.say(this.input.value.trim());
    });
    this.input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.form.requestSubmit();
    });
    this.stop.addEventListener("click", () => this.abort?.abort());
    document.querySelector("[data-chat-clear]")?.addEventListener("click", () => this.clear());
  }

  get model() {
    return document.querySelector("[data-chat-model]")?.value ?? this.root.dataset.model;
  }

  // A reader who has scrolled up is left where they are.
  get atEnd() {
    return this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 80;
  }

  clear() {
    this.abort?.abort();
    this.messages = [];
    this.log.querySelectorAll(".turn").forEach((turn) => turn.remove());
    this.log.querySelector("[data-chat-empty]").hidden = false;
    this.input.focus();
  }

  turn(kind, who) {
    this.log.querySelector("[data-chat-empty]").hidden = true;
    const turn = document.createElement("div");
    turn.className = `turn turn-${kind}`;
    for (const name of ["who", "text", "meta"]) {
      const part = document.createElement("div");
      part.className = `turn-${name}`;
      turn.append(part);
    }
    turn.querySelector(".turn-who").textContent = who;
    this.log.append(turn);
    return turn;
  }

  write(turn, text) {
    const { atEnd } = this;
    turn.querySelector(".turn-text").textContent = text;
    if (atEnd) this.log.scrollTop = this.log.scrollHeight;
  }

  async say(text) {
    if (!text || this.abort) return;
    this.input.value = "";
    this.write(this.turn("user", "You"), text);
    this.messages.push({ role: "user", content: text });
    const turn = this.turn("assistant", this.model);
    turn.dataset.streaming = "";
    this.log.scrollTop = this.log.scrollHeight;
    this.busy(true);
    const answer = { text: "", usage: null, id: "", provider: "" };
    try {
      await this.stream(turn, answer);
    } catch (error) {
      if (error.name === "AbortError") this.meta(turn, answer, "stopped");
      else this.fail(error.message);
    } finally {
      delete turn.dataset.streaming;
      // What broke or said nothing is no turn of the conversation that the next request should carry.
      if (answer.text) this.messages.push({ role: "assistant", content: answer.text });
      else {
        this.messages.pop();
        turn.remove();
        this.input.value ||= text; // to send again
      }
      this.busy(false);
    }
  }

  async stream(turn, answer) {
    const response = await this.request();
    if (!response.ok) throw new Error(await refusal(response));
    for await (const data of readEvents(response.body)) {
      if (data === "[DONE]") break;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new Error(chunk.error.message);
      answer.id = chunk.id ?? answer.id;
      answer.provider = chunk.provider ?? answer.provider;
      answer.usage = chunk.usage ?? answer.usage;
      const delta = chunk.choices?.[0]?.delta?.content;
      if (delta) {
        answer.text += delta;
        this.write(turn, answer.text);
      }
    }
    this.meta(turn, answer, "");
    if (!answer.text) throw new Error("The model answered with no text.");
  }

  async request() {
    this.abort = new AbortController();
    for (const fresh of [false, true]) {
      const response = await fetch(this.root.dataset.completionsUrl, {
        method: "POST",
        headers: { "Content-Type": "application/json", Authorization: `Bearer ${await this.secret(fresh)}` },
        body: JSON.stringify(this.body()),
        signal: this.abort.signal,
      });
      // A key that has ended meanwhile (expiry, another log-in) is asked for once more.
      if (response.status !== 401 || fresh) return response;
    }
  }

  body() {
    const value = (name) => document.querySelector(SETTINGS[name])?.value.trim() ?? "";
    const body = { model: this.model, messages: [...this.messages], stream: true };
    if (value("system")) body.messages.unshift({ role: "system", content: value("system") });
    if (value("temperature")) body.temperature = Number(value("temperature"));
    if (value("max_tokens")) body.max_tokens = Number(value("max_tokens"));
    return body;
  }

  async secret(fresh) {
    if (this.key && !fresh && Date.parse(this.key.expires_at) - Date.now() > 30_000) return this.key.key;
    const response = await fetch(this.root.dataset.keyUrl, {
      method: "POST",
      headers: { "X-CSRFToken": this.form.querySelector("[name=csrfmiddlewaretoken]").value },
      signal: this.abort.signal,
    });
    if (!response.ok || response.redirected) throw new Error("Your session has ended: reload the page and log in again.");
    this.key = await response.json();
    return this.key.key;
  }

  meta(turn, answer, note) {
    const line = turn.querySelector(".turn-meta");
    const { usage } = answer;
    const parts = [note, answer.provider && `via ${answer.provider}`];
    if (usage) parts.push(`${usage.prompt_tokens} in, ${usage.completion_tokens} out`);
    if (usage?.cost != null) parts.push(`$${plain(usage.cost)}`);
    line.textContent = parts.filter(Boolean).join(" · ");
    if (!answer.id.startsWith("gen-")) return;
    const link = document.createElement("a");
    link.href = this.root.dataset.generationUrl + encodeURIComponent(answer.id);
    link.textContent = "Why this provider?";
    line.append(line.textContent ? " · " : "", link);
    if (this.atEnd) this.log.scrollTop = this.log.scrollHeight;
  }

  fail(message) {
    const turn = this.turn("error", "Not answered");
    turn.setAttribute("role", "alert");
    this.write(turn, message);
    this.log.scrollTop = this.log.scrollHeight;
  }

  busy(on) {
    this.send.hidden = on;
    this.stop.hidden = !on;
    if (!on) {
      this.abort = null;
      this.input.focus({ preventScroll: true });
    }
  }
}

async function refusal(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return `The gateway answered ${response.status}. Try again in a moment.`;
  }
}

// 0.0000012 and not 1.2e-6.
function plain(cost) {
  return Number(cost).toFixed(9).replace(/0+$/, "").replace(/\.$/, "");
}

for (const root of document.querySelectorAll("[data-chat]")) new Chat(root);
