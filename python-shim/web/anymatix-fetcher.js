// The downloads panel: queue, history, the open workflow's missing models, and access tokens; and what
// the owner should know, which also appears when the page is opened.
//
// Everything is asked of the pack's own routes (see panel.py); nothing is kept in the browser. Text
// from urls, servers and workflows is only ever set as text, never as markup.

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";

const NAME = "anymatix.fetcher";
const TITLE = "Downloads";
// Beside /extensions/, so that a ComfyUI below a path of its host is met there.
const ROUTES = new URL("../../anymatix-fetcher/", import.meta.url);
const NOTICES_EVENT = "anymatix.notices";
const KEY_HEADER = "X-Anymatix-Key";
const BUSY_MILLISECONDS = 500;
const IDLE_MILLISECONDS = 3000;
const TOAST_MILLISECONDS = 20_000;
const SHOWN_HISTORY = 30;

const TOKEN_SITES = [
  { site: "civitai", label: "CivitAI", lasting: "CIVITAI_API_TOKEN, or the file ~/.civitai/config" },
  { site: "huggingface", label: "Hugging Face", lasting: "HF_TOKEN, or the file ~/.cache/huggingface/token" },
];

const STYLE = `
.anymatix-fetcher { --line: color-mix(in srgb, currentColor 14%, transparent);
  --fill: color-mix(in srgb, currentColor 9%, transparent); --accent: var(--p-primary-color, #4b9fff);
  --bad: color-mix(in srgb, var(--error-text, #ff6b6b) 75%, currentColor); --muted: color-mix(in srgb, currentColor 68%, transparent);
  box-sizing: border-box; height: 100%; overflow: auto; padding: 12px;
  font: 13px/1.45 system-ui, sans-serif; color: var(--input-text, #ddd); text-align: start; }
.anymatix-fetcher * { box-sizing: border-box; }
.anymatix-fetcher [hidden] { display: none !important; }
.anymatix-fetcher h3, .anymatix-fetcher summary { margin: 0; font-size: 13px; font-weight: 600; line-height: 1.8; }
.anymatix-fetcher section + section, .anymatix-fetcher details { margin-top: 14px; padding-top: 10px; border-top: 1px solid var(--line); }
.anymatix-fetcher p { margin: 2px 0 6px; color: var(--muted); }
.anymatix-fetcher summary { cursor: pointer; }
.anymatix-fetcher ul { list-style: none; margin: 0; padding: 0; }
.anymatix-fetcher li { padding: 7px 0; }
.anymatix-fetcher li + li { border-top: 1px solid var(--line); }
.anymatix-fetcher .line { display: flex; flex-wrap: wrap; gap: 6px; align-items: center; }
.anymatix-fetcher .row { display: flex; gap: 6px; align-items: center; }
.anymatix-fetcher .name { flex: 1; min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.anymatix-fetcher .state { flex: 1 1 60px; }
.anymatix-fetcher .state ~ button { margin-bottom: 2px; }
.anymatix-fetcher .detail { color: var(--muted); font-size: 12px; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.anymatix-fetcher .failed { color: var(--bad); }
.anymatix-fetcher .box { display: flex; gap: 6px; align-items: flex-start; margin: 0 0 10px; padding: 7px 9px; border-radius: 6px;
  overflow-wrap: anywhere; color: inherit; background: color-mix(in srgb, var(--tone) 16%, transparent); border-inline-start: 3px solid var(--tone); }
.anymatix-fetcher .box > span { flex: 1; min-width: 0; }
.anymatix-fetcher .problem { --tone: var(--bad); }
.anymatix-fetcher .notice { --tone: #e0a030; }
.anymatix-fetcher progress { display: block; appearance: none; width: 100%; height: 5px; margin: 5px 0 4px; border: 0; border-radius: 3px;
  overflow: hidden; color: inherit; background: var(--line); }
.anymatix-fetcher progress::-webkit-progress-bar { background: none; }
.anymatix-fetcher progress::-webkit-progress-value { background: var(--accent); }
.anymatix-fetcher progress::-moz-progress-bar { background: var(--accent); }
.anymatix-fetcher progress:indeterminate { background: linear-gradient(90deg, transparent, var(--accent), transparent) 0 0 / 40% 100% no-repeat, var(--line);
  animation: anymatix-fetcher-search 1.4s ease-in-out infinite alternate; }
.anymatix-fetcher progress:indeterminate::-moz-progress-bar { background: none; }
@keyframes anymatix-fetcher-search { to { background-position: 100% 0, 0 0; } }
.anymatix-fetcher button, .anymatix-fetcher input, .anymatix-fetcher select { font: inherit; color: inherit; min-height: 28px;
  border: 1px solid transparent; border-radius: 6px; padding: 3px 9px; margin: 0; }
.anymatix-fetcher input, .anymatix-fetcher select { background: var(--comfy-input-bg, #222); border-color: var(--line); min-width: 0; }
.anymatix-fetcher input { flex: 1 1 150px; }
.anymatix-fetcher select { flex: 1 1 100px; max-width: 100%; }
.anymatix-fetcher button { cursor: pointer; background: var(--fill); }
.anymatix-fetcher .line button { max-width: 100%; }
.anymatix-fetcher .line button.main { flex: 1 0 auto; }
.anymatix-fetcher .line h3 { flex: 1 0 auto; }
.anymatix-fetcher button:hover { background: var(--line); }
.anymatix-fetcher button.main { background: var(--accent); color: var(--p-primary-contrast-color, #111); }
.anymatix-fetcher button.main:hover { filter: brightness(1.1); }
.anymatix-fetcher button:disabled { opacity: 0.4; cursor: default; }
.anymatix-fetcher :is(button, input, select, summary):focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
.anymatix-fetcher button.icon { flex: none; min-height: 0; padding: 5px; line-height: 0; }
.anymatix-fetcher svg { width: 12px; height: 12px; fill: currentColor; }
.anymatix-fetcher form { margin-top: 8px; }
.anymatix-fetcher input[type="url"] { flex-basis: 100%; }
.anymatix-fetcher label { flex: 0 0 100%; }
.anymatix-fetcher-window { position: fixed; left: 16px; top: 60px; bottom: 16px; width: 380px; max-width: 90vw; z-index: 1000;
  background: var(--comfy-menu-bg, #353535); border: 1px solid var(--border-color, #4e4e4e); border-radius: 8px; box-shadow: 0 4px 20px #0008; }
`;

/** Asks the pack's routes. The key is new at each start of ComfyUI, and asked for again then. */
class Client {
  #key = null;

  async call(method, params = {}) {
    let answer = await this.#post(method, params);
    if (answer.status === 401) {
      this.#key = null;
      answer = await this.#post(method, params);
    }
    const body = await answer.json().catch(() => ({}));
    if (body.error || !answer.ok) {
      throw new Error(body.error?.message ?? `ComfyUI answered ${answer.status}.`);
    }
    return body.result;
  }

  async #post(method, params) {
    if (this.#key === null) {
      const session = await this.#ask("session", {});
      const body = await session.json().catch(() => ({}));
      if (!session.ok) {
        throw new Error(body.error?.message ?? `ComfyUI answered ${session.status}.`);
      }
      this.#key = body.key;
    }
    return this.#ask("call", {
      method: "POST",
      headers: { "Content-Type": "application/json", [KEY_HEADER]: this.#key },
      body: JSON.stringify({ method, params }),
    });
  }

  async #ask(route, options) {
    try {
      return await fetch(new URL(route, ROUTES), { cache: "no-store", ...options });
    } catch {
      throw new Error("ComfyUI does not answer; is it still running?");
    }
  }
}

/** An element with attributes, listeners (functions) and children. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") {
      made.addEventListener(name, value);
    } else if (value === true) {
      made.setAttribute(name, "");
    } else if (value !== false && value != null) {
      made.setAttribute(name, value);
    }
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

/** Paths in a square of 16: no font has to know these signs. */
const ICONS = {
  up: "M8 3 3 9h3v4h4V9h3z",
  down: "M8 13 3 7h3V3h4v4h3z",
  pause: "M4 3h3v10H4zM9 3h3v10H9z",
  resume: "M5 3l8 5-8 5z",
  cancel: "M4 3l4 4 4-4 1 1-4 4 4 4-1 1-4-4-4 4-1-1 4-4-4-4z",
};

function icon(name) {
  const SVG = "http://www.w3.org/2000/svg";
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("viewBox", "0 0 16 16");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  picture.append(path);
  return picture;
}

function iconButton(name, title, act) {
  return element("button", { class: "icon", title, "aria-label": title, click: act }, icon(name));
}

function bytes(count) {
  if (count == null) {
    return "?";
  }
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (count >= 1000 && unit < units.length - 1) {
    count /= 1000;
    unit++;
  }
  return `${count.toFixed(unit > 1 && count < 100 ? 1 : 0)} ${units[unit]}`;
}

function duration(seconds) {
  if (seconds == null || !Number.isFinite(seconds)) {
    return "";
  }
  const whole = Math.ceil(seconds);
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const text = parts.map((part) => String(part).padStart(2, "0")).join(":");
  return text.replace(/^00:/, "").replace(/^0/, "");
}

/** What a person calls a file: without the hash of its link, which tells stored files apart. */
function nameOf(item) {
  const stored = item.fileName || item.path || pathOf(item.url);
  return stored.split(/[\\/]/).pop().replace(/_[0-9a-f]{64}(?=\.|$)/, "") || item.url;
}

function pathOf(url) {
  try {
    return decodeURIComponent(new URL(url).pathname);
  } catch {
    return url;
  }
}

const PHASES = {
  resolving: "asking the source",
  verifying: "checking",
  adopting: "looking for a copy on disk",
};

/** Where a download is, in a few words. */
function stateOf(item) {
  const share = item.totalBytes ? `${Math.floor((100 * item.receivedBytes) / item.totalBytes)} %` : null;
  if (item.paused) {
    return ["paused", item.receivedBytes ? share : null];
  }
  if (item.phase === "waiting") {
    return [item.reason ? `waiting: ${item.reason}` : "waiting", item.receivedBytes ? share : null];
  }
  const left = item.rate > 0 && item.eta != null ? `${duration(item.eta)} left` : null;
  return [item.phase === "fetching" ? null : (PHASES[item.phase] ?? item.phase), share, left];
}

/** How much of how much, and how fast. */
function numbersOf(item) {
  const size = item.totalBytes ? `${bytes(item.receivedBytes)} of ${bytes(item.totalBytes)}` : bytes(item.receivedBytes);
  return [item.totalBytes || item.receivedBytes ? size : null, item.rate > 0 ? `${item.rate.toFixed(1)} MB/s` : null];
}

function sentence(...parts) {
  return parts.flat().filter(Boolean).join(" · ");
}

/** The models that a workflow says it needs (ComfyUI's `models` metadata), each once. */
function modelsOf(workflow) {
  const found = new Map();
  const take = (models) => {
    for (const model of Array.isArray(models) ? models : []) {
      if (model && typeof model.url === "string" && typeof model.name === "string" && typeof model.directory === "string") {
        found.set(`${model.directory}/${model.name}`, model);
      }
    }
  };
  const visit = (graph) => {
    take(graph?.models);
    for (const node of Array.isArray(graph?.nodes) ? graph.nodes : []) {
      take(node?.properties?.models);
    }
    for (const subgraph of graph?.definitions?.subgraphs ?? []) {
      visit(subgraph);
    }
  };
  visit(workflow);
  return [...found.values()];
}

function openWorkflow() {
  const graph = app.rootGraph ?? app.graph;
  return graph?.serialize?.() ?? {};
}

/** Rows of a list by id: they are changed in place, so that a button under the pointer stays. */
class Rows {
  #rows = new Map();

  constructor(make) {
    this.list = element("ul");
    this.make = make;
  }

  show(items) {
    const kept = new Set(items.map((item) => item.id));
    for (const [id, row] of this.#rows) {
      if (!kept.has(id)) {
        row.element.remove();
        this.#rows.delete(id);
      }
    }
    items.forEach((item, index) => {
      let row = this.#rows.get(item.id);
      if (!row) {
        row = this.make(item);
        this.#rows.set(item.id, row);
      }
      row.update(item);
      if (this.list.children[index] !== row.element) {
        this.list.insertBefore(row.element, this.list.children[index] ?? null);
      }
    });
  }
}

class Panel {
  #client;
  #timer = null;
  #finished = new Set();
  #firstLook = true;
  #queuedUrls = new Set();
  #missingModels = [];

  constructor(client) {
    this.#client = client;
    this.queue = new Rows((item) => this.#queueRow(item));
    this.history = new Rows((item) => this.#historyRow(item));
    this.notices = element("div", { "data-part": "notices" });
    this.summary = element("p", { "data-part": "summary" });
    this.all = element("button", { hidden: true, click: () => this.#act(this.all.dataset.method, {}) });
    this.problem = element("div", { class: "box problem", role: "alert", "data-part": "problem", hidden: true });
    this.missing = element("div", { "data-part": "missing" });
    this.tokens = element("div", { "data-part": "tokens" });
    this.types = element("select", { "aria-label": "Folder" });
    this.noHistory = element("p", {}, "Nothing has been downloaded yet.");
    this.queue.list.dataset.part = "queue";
    this.history.list.dataset.part = "history";
    this.element = element(
      "div",
      { class: "anymatix-fetcher" },
      this.problem,
      this.notices,
      element(
        "section",
        {},
        element("div", { class: "line" }, element("h3", {}, TITLE), this.all),
        this.summary,
        this.queue.list,
        this.#addForm(),
      ),
      element("section", {}, element("h3", {}, "Models of this workflow"), this.missing),
      element("section", {}, element("h3", {}, "History"), this.noHistory, this.history.list),
      element("details", {}, element("summary", {}, "Access tokens"), this.tokens),
    );
  }

  get isOpen() {
    return this.element.isConnected;
  }

  open(container) {
    container.append(this.element);
    this.#look();
    this.lookForMissing();
    this.#showTypes();
    this.#showTokens();
  }

  close() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.element.remove();
  }

  /** Shows sentences for the owner, each until it is dismissed. */
  addNotices(sentences) {
    for (const sentence of sentences) {
      const dismiss = iconButton("cancel", "Dismiss", () => box.remove());
      const box = element("div", { class: "box notice", role: "status" }, element("span", {}, sentence), dismiss);
      this.notices.append(box);
    }
  }

  /** Asks, shows the failure if there is one, and looks at the queue again. */
  async #act(method, params) {
    try {
      const result = await this.#client.call(method, params);
      this.#tell(null);
      this.#look();
      return result;
    } catch (failure) {
      this.#tell(failure);
      this.#look();
      return null;
    }
  }

  #tell(failure) {
    this.problem.hidden = failure === null;
    this.problem.textContent = failure === null ? "" : failure.message;
    this.problem.dataset.of = "";
  }

  async #look() {
    clearTimeout(this.#timer);
    let busy = false;
    try {
      const [queue, history] = await Promise.all([
        this.#client.call("queue"),
        this.#client.call("history", { limit: SHOWN_HISTORY }),
      ]);
      busy = queue.active.length + queue.nodes.length > 0;
      this.#show(queue, history.entries);
      if (this.problem.dataset.of === "look") {
        this.#tell(null);
      }
    } catch (failure) {
      this.#tell(failure);
      this.problem.dataset.of = "look";
    }
    clearTimeout(this.#timer);
    if (this.isOpen) {
      this.#timer = setTimeout(() => this.#look(), busy ? BUSY_MILLISECONDS : IDLE_MILLISECONDS);
    }
  }

  #show(queue, entries) {
    const running = [...queue.nodes.map((item) => ({ ...item, isNode: true })), ...queue.active];
    const waiting = queue.waiting.map((item) => ({ ...item, isWaiting: true }));
    this.queue.show([...running, ...waiting]);
    this.history.show(entries);
    this.noHistory.hidden = entries.length > 0;
    const rate = running.reduce((sum, item) => sum + (item.rate ?? 0), 0);
    this.summary.textContent =
      running.length + waiting.length
        ? sentence(`${running.length} running`, `${waiting.length} waiting`, rate > 0 ? `${rate.toFixed(1)} MB/s` : null)
        : "Nothing is being downloaded.";
    const queued = [...queue.active, ...queue.waiting];
    this.all.hidden = queued.length < 2;
    this.all.dataset.method = queued.every((item) => item.paused) ? "resume" : "pause";
    this.all.textContent = this.all.dataset.method === "resume" ? "Resume all" : "Pause all";
    this.#queuedUrls = new Set([...running, ...waiting].map((item) => item.url));
    this.#showMissing();
    const fresh = entries.filter((entry) => !this.#finished.has(entry.id));
    fresh.forEach((entry) => this.#finished.add(entry.id));
    if (fresh.length && !this.#firstLook) {
      // A new file: the loaders' lists are to offer it.
      if (fresh.some((entry) => entry.outcome !== "failed" && entry.outcome !== "cancelled")) {
        app.refreshComboInNodes?.();
      }
      this.lookForMissing();
    }
    this.#firstLook = false;
  }

  #queueRow(item) {
    const id = item.id;
    const name = element("div", { class: "name" });
    const bar = element("progress");
    const state = element("div", { class: "detail state" });
    const numbers = element("div", { class: "detail" });
    const up = iconButton("up", "Up", () => this.#act("move", { id, to: "up" }));
    const down = iconButton("down", "Down", () => this.#act("move", { id, to: "down" }));
    const pause = iconButton("pause", "Pause", () => this.#act(pause.dataset.method, { id }));
    const cancel = item.isNode
      ? iconButton("cancel", "Stop the prompt", () => api.interrupt(null))
      : iconButton("cancel", "Cancel", () => this.#act("cancel", { id }));
    pause.hidden = Boolean(item.isNode);
    const row = element("li", { "data-id": id }, name, bar, element("div", { class: "line" }, state, up, down, pause, cancel), numbers);
    const update = (now) => {
      name.textContent = nameOf(now);
      name.title = `${nameOf(now)}\n${now.url}`;
      up.hidden = down.hidden = !now.isWaiting;
      const method = now.paused ? "resume" : "pause";
      if (pause.dataset.method !== method) {
        pause.dataset.method = method;
        pause.title = now.paused ? "Resume" : "Pause";
        pause.setAttribute("aria-label", pause.title);
        pause.replaceChildren(icon(method));
      }
      if (now.totalBytes) {
        bar.max = now.totalBytes;
        bar.value = now.receivedBytes;
      } else if (now.isWaiting || now.phase === "waiting") {
        bar.max = 1;
        bar.value = 0;
      } else {
        bar.removeAttribute("value");
      }
      state.textContent = sentence(stateOf(now), now.isNode ? "for the running prompt" : null);
      numbers.textContent = sentence(numbersOf(now));
    };
    return { element: row, update };
  }

  #historyRow(item) {
    const detail = element("div", { class: "detail" });
    const retry = element("button", { click: () => this.#act("retry", { id: item.id }) }, "Retry");
    const name = element("span", { class: "name", title: `${nameOf(item)}\n${item.url}` });
    const row = element("li", { "data-id": item.id }, element("div", { class: "row" }, name, retry), detail);
    const update = (now) => {
      name.textContent = nameOf(now);
      const failed = now.outcome === "failed";
      retry.hidden = !failed && now.outcome !== "cancelled";
      detail.classList.toggle("failed", failed);
      const size = now.bytesTransferred
        ? `${bytes(now.bytesTransferred)} in ${duration(now.elapsedMillis / 1000)}`
        : null;
      const told = failed ? [[now.error?.message, now.error?.hint].filter(Boolean).join(" ")] : [now.outcome, size];
      const when = new Date(now.time).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
      detail.textContent = sentence(told, when);
    };
    return { element: row, update };
  }

  #addForm() {
    const url = element("input", { type: "url", placeholder: "https://…", "aria-label": "Link of a model", required: true });
    const submit = async (event) => {
      event.preventDefault();
      if (await this.#act("enqueue", { url: url.value.trim(), type: this.types.value })) {
        url.value = "";
      }
    };
    return element(
      "form",
      { class: "line", "data-part": "add", submit },
      url,
      this.types,
      element("button", { class: "main" }, "Download"),
    );
  }

  async #showTypes() {
    try {
      const types = await this.#client.call("types");
      const chosen = this.types.value;
      this.types.replaceChildren(...types.map((name) => element("option", {}, name)));
      if (types.includes(chosen)) {
        this.types.value = chosen;
      }
    } catch (failure) {
      this.#tell(failure);
    }
  }

  /** Asks which models of the open workflow no loader would find. */
  async lookForMissing() {
    const models = modelsOf(openWorkflow());
    try {
      this.#missingModels = models.length ? await this.#client.call("missing", { models }) : [];
    } catch (failure) {
      this.#tell(failure);
      return;
    }
    this.missing.dataset.shown = "";
    this.missing.dataset.empty =
      models.length === 0
        ? "This workflow does not say which models it needs."
        : "All models that this workflow names are there.";
    this.#showMissing();
  }

  #showMissing() {
    const stateOfModel = (model) =>
      model.problem ?? (this.#queuedUrls.has(model.url) ? "downloading" : `from ${model.host}`);
    const shown = JSON.stringify(this.#missingModels.map((model) => [model, stateOfModel(model)]));
    if (this.missing.dataset.shown === shown || this.missing.dataset.empty === undefined) {
      return;
    }
    this.missing.dataset.shown = shown;
    const rows = this.#missingModels.map((model) =>
      element(
        "li",
        {},
        element("div", { class: "name", title: `${model.name}\n${model.url}` }, model.name),
        element("div", { class: model.problem ? "detail failed" : "detail" }, `${model.directory} · ${stateOfModel(model)}`),
      ),
    );
    const wanted = this.#missingModels.filter((model) => !model.problem && !this.#queuedUrls.has(model.url));
    const fetchAll = async () => {
      for (const { url, directory, name, sha256 } of wanted) {
        if ((await this.#act("enqueue", { url, type: directory, name, sha256 })) === null) {
          return;
        }
      }
    };
    this.missing.replaceChildren(
      rows.length ? element("ul", {}, ...rows) : element("p", {}, this.missing.dataset.empty),
      element(
        "div",
        { class: "line" },
        wanted.length ? element("button", { class: "main", click: fetchAll }, `Download ${wanted.length} missing`) : null,
        element("button", { click: () => this.lookForMissing() }, "Look again"),
      ),
    );
  }

  async #showTokens() {
    const held = await this.#act("credentials", {});
    if (held === null) {
      return;
    }
    const rows = TOKEN_SITES.map(({ site, label, lasting }) => {
      const token = element("input", {
        id: `anymatix-fetcher-${site}`,
        type: "password",
        autocomplete: "off",
        placeholder: held[site] ? "one is held" : "none entered",
      });
      const set = async (event) => {
        event.preventDefault();
        const value = token.value;
        token.value = "";
        if (await this.#act("credentials", { [site]: value })) {
          this.#showTokens();
        }
      };
      const forget = async () => {
        await this.#act("credentials", { [site]: "" });
        this.#showTokens();
      };
      return element(
        "form",
        { "data-site": site, submit: set },
        element(
          "div",
          { class: "line" },
          element("label", { for: token.id }, label),
          token,
          element("button", {}, held[site] ? "Replace" : "Use"),
          held[site] ? element("button", { type: "button", click: forget }, "Forget") : null,
        ),
        element("div", { class: "detail" }, `To keep one for good: ${lasting}.`),
      );
    });
    this.tokens.replaceChildren(
      element(
        "p",
        {},
        "A token entered here is kept until ComfyUI ends, in the memory of ComfyUI's machine only. It is never" +
          " shown again, and never stored in the browser or the workflow.",
      ),
      ...rows,
    );
  }
}

/** For front ends without a sidebar: a window, and a button in the menu that opens and closes it. */
function addMenuButton(panel) {
  const frame = element("div", { class: "anymatix-fetcher-window" });
  const toggle = () => {
    if (frame.isConnected) {
      panel.close();
      frame.remove();
    } else {
      document.body.append(frame);
      panel.open(frame);
    }
  };
  const button = element("button", { id: "anymatix-fetcher-button", click: toggle }, TITLE);
  (app.ui?.menuContainer ?? document.body).append(button);
  return button;
}

/** Shows what the owner should know: in the panel, and at once wherever the front end has a place for it. */
class Notices {
  #told = new Set();

  constructor(client, panel, button) {
    this.client = client;
    this.panel = panel;
    this.button = button;
  }

  async look() {
    let sentences;
    try {
      sentences = await this.client.call("notices");
    } catch {
      return; // the routes are closed to this page, and so is the panel, which says so
    }
    const fresh = sentences.filter((sentence) => !this.#told.has(sentence));
    fresh.forEach((sentence) => this.#told.add(sentence));
    this.panel.addNotices(fresh);
    for (const detail of fresh) {
      app.extensionManager?.toast?.add({ severity: "warn", summary: "Anymatix Fetcher", detail, life: TOAST_MILLISECONDS });
    }
    if (this.button && fresh.length) {
      this.button.textContent = `${TITLE} (!)`;
      this.button.title = fresh.join("\n");
    }
  }
}

const client = new Client();
const panel = new Panel(client);

app.registerExtension({
  name: NAME,
  setup() {
    document.head.append(element("style", {}, STYLE));
    let button = null;
    if (app.extensionManager?.registerSidebarTab) {
      app.extensionManager.registerSidebarTab({
        id: NAME,
        icon: "pi pi-download",
        title: TITLE,
        tooltip: "Model downloads",
        type: "custom",
        render: (container) => panel.open(container),
        destroy: () => panel.close(),
      });
    } else {
      button = addMenuButton(panel);
    }
    const notices = new Notices(client, panel, button);
    api.addEventListener(NOTICES_EVENT, () => notices.look());
    // These are for others; a front end complains of an event that nobody listens to.
    for (const event of ["anymatix.download", "anymatix.fetch_phase"]) {
      api.addEventListener(event, () => {});
    }
    notices.look();
  },
  afterConfigureGraph() {
    if (panel.isOpen) {
      panel.lookForMissing();
    }
  },
});
