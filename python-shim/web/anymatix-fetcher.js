// The downloads panel: queue, history, the open workflow's missing models, and access tokens.
//
// Everything is asked of the pack's own routes (see panel.py); nothing is kept in the browser. Text
// from urls, servers and workflows is only ever set as text, never as markup.

import { app } from "../../scripts/app.js";

const NAME = "anymatix.fetcher";
const TITLE = "Downloads";
const ROUTE = "anymatix-fetcher";
const KEY_HEADER = "X-Anymatix-Key";
const BUSY_MILLISECONDS = 500;
const IDLE_MILLISECONDS = 3000;
const SHOWN_HISTORY = 30;

const TOKEN_SITES = [
  { site: "civitai", label: "CivitAI", lasting: "CIVITAI_API_TOKEN, or the file ~/.civitai/config" },
  { site: "huggingface", label: "Hugging Face", lasting: "HF_TOKEN, or the file ~/.cache/huggingface/token" },
];

const STYLE = `
.anymatix-fetcher { box-sizing: border-box; height: 100%; overflow: auto; padding: 10px 12px;
  font: 13px/1.4 system-ui, sans-serif; color: var(--input-text, #ddd); }
.anymatix-fetcher h3 { margin: 16px 0 6px; font-size: 13px; font-weight: 600; }
.anymatix-fetcher h3:first-child { margin-top: 0; }
.anymatix-fetcher p { margin: 4px 0; color: var(--descrip-text, #999); }
.anymatix-fetcher ul { list-style: none; margin: 0; padding: 0; }
.anymatix-fetcher li { padding: 6px 0; border-bottom: 1px solid var(--border-color, #4e4e4e); }
.anymatix-fetcher li:last-child { border-bottom: 0; }
.anymatix-fetcher .line { display: flex; gap: 6px; align-items: center; }
.anymatix-fetcher .name { flex: 1; min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.anymatix-fetcher .detail { color: var(--descrip-text, #999); font-size: 12px; font-variant-numeric: tabular-nums; }
.anymatix-fetcher .detail.wide { overflow-wrap: anywhere; }
.anymatix-fetcher .failed { color: var(--error-text, #ff6b6b); }
.anymatix-fetcher progress { width: 100%; height: 6px; margin: 4px 0 2px; accent-color: var(--p-primary-color, #4b9fff); }
.anymatix-fetcher button, .anymatix-fetcher input, .anymatix-fetcher select { font: inherit; color: inherit;
  background: var(--comfy-input-bg, #222); border: 1px solid var(--border-color, #4e4e4e); border-radius: 4px; padding: 2px 8px; }
.anymatix-fetcher button { cursor: pointer; }
.anymatix-fetcher button:disabled { opacity: 0.4; cursor: default; }
.anymatix-fetcher button.icon { padding: 4px; line-height: 0; }
.anymatix-fetcher svg { width: 12px; height: 12px; fill: currentColor; }
.anymatix-fetcher .buttons { margin-top: 6px; }
.anymatix-fetcher input { flex: 1; min-width: 0; }
.anymatix-fetcher-window { position: fixed; right: 16px; top: 60px; bottom: 16px; width: 380px; max-width: 90vw; z-index: 1000;
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
      const session = await fetch(`/${ROUTE}/session`, { cache: "no-store" });
      const body = await session.json().catch(() => ({}));
      if (!session.ok) {
        throw new Error(body.error?.message ?? `ComfyUI answered ${session.status}.`);
      }
      this.#key = body.key;
    }
    return fetch(`/${ROUTE}/call`, {
      method: "POST",
      cache: "no-store",
      headers: { "Content-Type": "application/json", [KEY_HEADER]: this.#key },
      body: JSON.stringify({ method, params }),
    });
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

function nameOf(item) {
  if (item.fileName) {
    return item.fileName;
  }
  if (item.path) {
    return item.path.split(/[\\/]/).pop();
  }
  return item.url;
}

function stateOf(item) {
  if (item.paused) {
    return `paused at ${bytes(item.receivedBytes)}`;
  }
  const parts = [];
  if (item.phase !== "fetching") {
    parts.push(item.reason ? `waiting: ${item.reason}` : item.phase);
  }
  if (item.totalBytes) {
    const percent = Math.floor((100 * item.receivedBytes) / item.totalBytes);
    parts.push(`${percent} %`, `${bytes(item.receivedBytes)} of ${bytes(item.totalBytes)}`);
  } else if (item.receivedBytes) {
    parts.push(bytes(item.receivedBytes));
  }
  if (item.rate > 0) {
    parts.push(`${item.rate.toFixed(1)} MB/s`);
    if (item.eta != null) {
      parts.push(`${duration(item.eta)} left`);
    }
  }
  return parts.join(" · ");
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
  #client = new Client();
  #timer = null;
  #finished = new Set();
  #firstLook = true;

  constructor() {
    this.queue = new Rows((item) => this.#queueRow(item));
    this.history = new Rows((item) => this.#historyRow(item));
    this.summary = element("p", { "data-part": "summary" });
    this.problem = element("p", { class: "failed", role: "alert", "data-part": "problem", hidden: true });
    this.missing = element("div", { "data-part": "missing" });
    this.tokens = element("div", { "data-part": "tokens" });
    this.queue.list.dataset.part = "queue";
    this.history.list.dataset.part = "history";
    this.element = element(
      "div",
      { class: "anymatix-fetcher" },
      this.problem,
      element("h3", {}, TITLE),
      this.summary,
      this.queue.list,
      this.#addForm(),
      element("h3", {}, "Models of this workflow"),
      this.missing,
      element("h3", {}, "Access tokens"),
      this.tokens,
      element("h3", {}, "History"),
      this.history.list,
    );
  }

  open(container) {
    container.append(this.element);
    this.#look();
    this.#lookForMissing();
    this.#showTokens();
  }

  close() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.element.remove();
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
      busy = queue.active.length > 0;
      this.#show(queue, history.entries);
      if (this.problem.dataset.of === "look") {
        this.#tell(null);
      }
    } catch (failure) {
      this.#tell(failure);
      this.problem.dataset.of = "look";
    }
    clearTimeout(this.#timer);
    if (this.element.isConnected) {
      this.#timer = setTimeout(() => this.#look(), busy ? BUSY_MILLISECONDS : IDLE_MILLISECONDS);
    }
  }

  #show(queue, entries) {
    const items = [...queue.active, ...queue.waiting];
    this.queue.show(items);
    this.history.show(entries);
    const rate = queue.active.reduce((sum, item) => sum + item.rate, 0);
    this.summary.textContent = items.length
      ? `${queue.active.length} running, ${queue.waiting.length} waiting · ${rate.toFixed(1)} MB/s`
      : "Nothing is being downloaded.";
    const fresh = entries.filter((entry) => !this.#finished.has(entry.id));
    fresh.forEach((entry) => this.#finished.add(entry.id));
    if (fresh.length && !this.#firstLook) {
      // A new file: the loaders' lists are to offer it.
      app.refreshComboInNodes?.();
      this.#lookForMissing();
    }
    this.#firstLook = false;
  }

  #queueRow(item) {
    const id = item.id;
    const name = element("span", { class: "name" });
    const bar = element("progress");
    const detail = element("div", { class: "detail" });
    const pause = iconButton("pause", "Pause", () => this.#act(pause.dataset.method, { id }));
    const row = element(
      "li",
      { "data-id": id },
      element(
        "div",
        { class: "line" },
        name,
        iconButton("up", "Up", () => this.#act("move", { id, to: "up" })),
        iconButton("down", "Down", () => this.#act("move", { id, to: "down" })),
        pause,
        iconButton("cancel", "Cancel", () => this.#act("cancel", { id })),
      ),
      bar,
      detail,
    );
    const update = (now) => {
      name.textContent = nameOf(now);
      name.title = now.url;
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
      } else if (now.paused || now.phase === "waiting") {
        bar.max = 1;
        bar.value = 0;
      } else {
        bar.removeAttribute("value");
      }
      detail.textContent = stateOf(now);
    };
    return { element: row, update };
  }

  #historyRow(item) {
    const detail = element("div", { class: "detail wide" });
    const retry = element("button", { click: () => this.#act("retry", { id: item.id }) }, "Retry");
    const name = element("span", { class: "name", title: item.url });
    const row = element("li", { "data-id": item.id }, element("div", { class: "line" }, name, retry), detail);
    const update = (now) => {
      name.textContent = nameOf(now);
      const when = new Date(now.time).toLocaleString();
      const failed = now.outcome === "failed";
      retry.hidden = !failed && now.outcome !== "cancelled";
      detail.classList.toggle("failed", failed);
      const size = `${bytes(now.bytesTransferred)} in ${duration(now.elapsedMillis / 1000)}`;
      const told = failed ? [now.error?.message, now.error?.hint] : [now.outcome, "·", size];
      detail.textContent = [...told, "·", when].filter(Boolean).join(" ");
    };
    return { element: row, update };
  }

  #addForm() {
    const url = element("input", { type: "url", placeholder: "https://…", "aria-label": "Link of a model", required: true });
    const type = element("select", { "aria-label": "Folder" });
    this.#client.call("types").then(
      (types) => types.forEach((name) => type.append(element("option", {}, name))),
      (failure) => this.#tell(failure),
    );
    const submit = async (event) => {
      event.preventDefault();
      if (await this.#act("enqueue", { url: url.value.trim(), type: type.value })) {
        url.value = "";
      }
    };
    return element(
      "form",
      { class: "line", "data-part": "add", style: "margin-top: 8px", submit },
      url,
      type,
      element("button", {}, "Add"),
    );
  }

  async #lookForMissing() {
    const models = modelsOf(openWorkflow());
    let missing = [];
    try {
      missing = models.length ? await this.#client.call("missing", { models }) : [];
    } catch (failure) {
      this.#tell(failure);
      return;
    }
    const text =
      models.length === 0
        ? "This workflow does not say which models it needs."
        : missing.length === 0
          ? "All of them are there."
          : null;
    const list = element(
      "ul",
      {},
      ...missing.map((model) =>
        element(
          "li",
          {},
          element("div", { class: "line" }, element("span", { class: "name", title: model.url }, model.name)),
          element("div", { class: "detail wide" }, model.problem ?? `${model.directory} · from ${model.host}`),
        ),
      ),
    );
    const wanted = missing.filter((model) => !model.problem);
    const fetchAll = async () => {
      for (const { url, directory, name, sha256 } of wanted) {
        if ((await this.#act("enqueue", { url, type: directory, name, sha256 })) === null) {
          return;
        }
      }
    };
    this.missing.replaceChildren(
      text === null ? list : element("p", {}, text),
      element(
        "div",
        { class: "line buttons" },
        wanted.length ? element("button", { click: fetchAll }, `Fetch ${wanted.length} missing`) : null,
        element("button", { click: () => this.#lookForMissing() }, "Look again"),
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
        type: "password",
        autocomplete: "off",
        placeholder: held[site] ? "entered" : "none entered",
        "aria-label": `${label} token`,
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
          element("span", { style: "width: 7em" }, label),
          token,
          element("button", {}, held[site] ? "Replace" : "Use"),
          held[site] ? element("button", { type: "button", click: forget }, "Forget") : null,
        ),
        element("div", { class: "detail wide" }, `To keep one for good: ${lasting}.`),
      );
    });
    this.tokens.replaceChildren(
      element(
        "p",
        {},
        "A token entered here is kept until ComfyUI ends, on ComfyUI's machine only. It is never" +
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
}

app.registerExtension({
  name: NAME,
  setup() {
    document.head.append(element("style", {}, STYLE));
    const panel = new Panel();
    const manager = app.extensionManager;
    if (manager?.registerSidebarTab) {
      manager.registerSidebarTab({
        id: NAME,
        icon: "pi pi-download",
        title: TITLE,
        tooltip: "Model downloads",
        type: "custom",
        render: (container) => panel.open(container),
        destroy: () => panel.close(),
      });
    } else {
      addMenuButton(panel);
    }
  },
});
