// Publishing: an archive larger than one part goes up in parts before the form is sent, and goes on after a break.
// Without this script the form sends the archive by itself.

import { namesIn } from "./lib/zip.js";

const TRIES = 8;
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15_000;
// Browsers compute digests on secure pages only; elsewhere the form sends the archive by itself.
const canDigest = Boolean(globalThis.crypto?.subtle);
const CONFIG = /^(?:[^/]+\/)?cog\.yaml$/;

class Refused extends Error {}

const form = document.querySelector("form[data-upload]");
const part = (name) => form.querySelector(`[data-upload-${name}]`);
const archive = form.elements.archive;
const upload = form.elements.upload;
const begin = form.dataset.upload;
const partBytes = Number(form.dataset.partBytes);
const mostBytes = Number(form.dataset.mostBytes);

function size(bytes) {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function complain(text) {
  part("error").textContent = text;
  part("error").hidden = !text;
}

// Why this file cannot become a model; empty when it may.
async function fault(file) {
  if (!file.name.toLowerCase().endsWith(".zip")) return "The file is not a .zip: pack cog.yaml and your predictor into one.";
  if (file.size > mostBytes) return `The file has ${size(file.size)}, and at most ${size(mostBytes)} may come: let setup() fetch large weights.`;
  try {
    const names = await namesIn(file);
    if (names && !names.some((name) => CONFIG.test(name))) return "There is no cog.yaml in this zip: put it at its top, beside your predictor.";
  } catch (error) {
    return error.message;
  }
  return "";
}

async function look() {
  const file = archive.files[0];
  if (part("kept")) part("kept").hidden = Boolean(file);
  complain(file ? await fault(file) : "");
}

// One request; `progress` is told the bytes sent. Rejects when the connection breaks.
function ask(method, url, { body = null, headers = {}, progress, signal } = {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const stop = () => request.abort();
    request.open(method, url);
    request.setRequestHeader("X-CSRFToken", form.elements.csrfmiddlewaretoken.value);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    if (progress) request.upload.addEventListener("progress", (event) => progress(event.loaded));
    request.addEventListener("load", () => {
      let told = null;
      try {
        told = JSON.parse(request.responseText);
      } catch {
        // A page instead of an answer: the login, or a server in between.
      }
      resolve({ status: request.status, told });
    });
    request.addEventListener("error", () => reject(new Error("The connection broke.")));
    request.addEventListener("abort", () => reject(new Refused("Stopped.")));
    request.addEventListener("loadend", () => signal?.removeEventListener("abort", stop));
    signal?.addEventListener("abort", stop);
    request.send(body);
  });
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new Refused("Stopped."));
    });
  });
}

// The answer, after as many tries as it takes while the server is away; a refusal ends it.
async function insist(method, url, options) {
  for (let tried = 1; ; tried += 1) {
    let answer = null;
    try {
      answer = await ask(method, url, options);
    } catch (error) {
      if (error instanceof Refused || tried === TRIES) throw error;
    }
    if (answer?.told && answer.status < 500 && answer.status !== 429) return answer;
    if (answer && answer.status < 500) throw new Refused(answer.told?.message ?? "You are no longer logged in: load the page again.");
    if (tried === TRIES) throw new Error(answer?.told?.message ?? "The server does not answer.");
    part("state").textContent = "The connection broke; trying again…";
    await pause(Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (tried - 1)), options.signal);
    // What has come is known by the server alone: the part may have arrived before the break.
    if (method === "PUT") return ask("GET", url, { signal: options.signal }).catch(() => ({ status: 409, told: null }));
  }
}

async function digestOf(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return `sha-256=:${btoa(String.fromCharCode(...digest))}:`;
}

// The same file again is the same upload, also after the page was closed.
function nameFor(file) {
  return `upload:${file.name}:${file.size}:${file.lastModified}`;
}

async function start(file, signal) {
  const kept = localStorage.getItem(nameFor(file));
  if (kept) {
    const answer = await insist("GET", `${begin}/${kept}`, { signal });
    if (answer.status === 200 && answer.told.size === file.size) return answer.told;
  }
  const body = JSON.stringify({ name: file.name, size: file.size });
  const answer = await insist("POST", begin, { body, headers: { "Content-Type": "application/json" }, signal });
  if (answer.status !== 201) throw new Refused(answer.told.message);
  localStorage.setItem(nameFor(file), answer.told.id);
  return answer.told;
}

async function send(file, signal) {
  let row = await start(file, signal);
  const url = `${begin}/${row.id}`;
  let failed = 0;
  while (row.offset < file.size) {
    const bytes = await file.slice(row.offset, row.offset + row.part_bytes).arrayBuffer();
    const headers = { "Upload-Offset": String(row.offset), "Content-Type": "application/octet-stream" };
    headers["Content-Digest"] = await digestOf(bytes);
    const progress = (loaded) => show(row.offset + loaded, file.size);
    const answer = await insist("PUT", url, { body: bytes, headers, progress, signal });
    const offset = answer.told?.offset;
    const again = [409, 422].includes(answer.status); // it stands elsewhere, or came damaged
    if (typeof offset !== "number" && !again) throw new Refused(answer.told?.message ?? "The upload was refused.");
    failed = offset > row.offset ? 0 : failed + 1;
    if (failed === TRIES) throw new Error("The connection keeps breaking: press the button again to go on from here.");
    row = { ...row, offset: offset ?? row.offset };
    show(row.offset, file.size);
  }
  const done = await insist("POST", `${url}/complete`, { body: "{}", headers: { "Content-Type": "application/json" }, signal });
  localStorage.removeItem(nameFor(file));
  if (done.status !== 200) throw new Refused(done.told.message);
  return row.id;
}

function show(bytes, whole) {
  form.querySelector("progress").value = bytes / whole;
  part("state").textContent = `${size(bytes)} of ${size(whole)}`;
}

async function publish(file) {
  const stop = new AbortController();
  const button = form.querySelector("button:not([type=button])");
  const ended = () => stop.abort();
  part("stop").addEventListener("click", ended);
  part("progress").hidden = false;
  button.disabled = archive.disabled = true;
  show(0, file.size);
  try {
    upload.value = await send(file, stop.signal);
    part("state").textContent = "Uploaded.";
    form.submit(); // the archive's own field is disabled and does not go along
  } catch (error) {
    button.disabled = archive.disabled = false;
    part("progress").hidden = true;
    complain(error.message);
  } finally {
    part("stop").removeEventListener("click", ended);
  }
}

form.addEventListener("submit", async (event) => {
  const file = archive.files[0];
  if (!file || form.elements.source.value !== "archive") return;
  event.preventDefault();
  const wrong = await fault(file);
  complain(wrong);
  if (wrong) return;
  if (canDigest && file.size > partBytes) publish(file);
  else form.submit();
});

archive.addEventListener("change", look);

const drop = form.querySelector("[data-drop]");
part("hint").hidden = false;
for (const name of ["dragenter", "dragover"]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.toggleAttribute("data-over", true);
  });
}
for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.removeAttribute("data-over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  if (archive.disabled || !event.dataTransfer.files.length) return;
  archive.files = event.dataTransfer.files;
  look();
});
