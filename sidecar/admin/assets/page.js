// Live events, a live rules section, and copy buttons; everything else on the page works without this file.
"use strict";

const KEPT = 200;
const REFRESH = 5000;
const list = document.getElementById("events");
const live = document.getElementById("live");
const filter = document.getElementById("filter");
const pause = document.getElementById("pause");
const none = document.getElementById("none");
const waiting = [];
let paused = false;

function summary(event) {
  if (event.changes) {
    const names = [...new Set(event.changes.map((change) => change.header))].join(", ");
    return `${event["http.request.method"]} ${event["url.path"]} ${event["http.response.status_code"]}: ${names}`;
  }
  if (event.blocked === "sidecar-canary") return `a test report came back from ${event.document}`;
  const blocks = event.disposition === "report" ? "would block" : "blocks";
  if (event.directive) return `${event.directive} ${blocks} ${event.blocked} on ${event.document}`;
  return ["revision", "left", "mode", "who", "reason", "signal"].filter((key) => event[key]).map((key) => `${key} ${event[key]}`).join(", ");
}

function matches(item) {
  return item.textContent.toLowerCase().includes(filter.value.trim().toLowerCase());
}

function sayNone() {
  const text = [...list.children].some((item) => !item.hidden) ? "" : filter.value ? "No event matches." : "No event yet.";
  if (none.textContent !== text) none.textContent = text;
}

function show(event) {
  const item = document.createElement("li");
  const time = document.createElement("time");
  const name = document.createElement("strong");
  time.textContent = event.timestamp.replace("T", " ");
  name.textContent = event.event;
  item.append(time, " ", name, " ", summary(event));
  item.hidden = !matches(item);
  list.prepend(item);
  while (list.children.length > KEPT) list.lastElementChild.remove();
  sayNone();
}

function arrived(event) {
  if (!paused) return show(event);
  waiting.push(event);
  if (waiting.length > KEPT) waiting.shift();
  pause.textContent = `Go on (${waiting.length} waiting)`;
}

pause.addEventListener("click", () => {
  paused = !paused;
  pause.setAttribute("aria-pressed", String(paused));
  pause.textContent = paused ? "Go on" : "Pause";
  if (!paused) waiting.splice(0).forEach(show);
});
filter.addEventListener("input", () => {
  for (const item of list.children) item.hidden = !matches(item);
  sayNone();
});
sayNone();
document.getElementById("event-tools").hidden = false;

const source = new EventSource("/api/events");
source.addEventListener("open", () => { live.textContent = "Live."; });
source.addEventListener("error", () => { live.textContent = "Not live: trying to connect again."; });
source.addEventListener("logged", (message) => arrived(JSON.parse(message.data)));
addEventListener("pagehide", () => source.close());

function addCopyButtons(part) {
  for (const button of part.querySelectorAll("button.copy")) {
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.previousElementSibling.textContent);
      button.textContent = "Copied";
    });
  }
}

// The rules section is fetched anew, unless somebody is using it.
async function refresh() {
  const old = document.getElementById("rules");
  if (document.hidden || old.contains(document.activeElement)) return;
  const response = await fetch("/rules").catch(() => null);
  if (!response || !response.ok || response.redirected) return;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const fresh = page.getElementById("rules");
  if (!fresh || old.contains(document.activeElement)) return;
  for (const rule of old.querySelectorAll("details.rule")) {
    const same = fresh.querySelector(`#${rule.id}`);
    if (same) same.open = rule.open;
  }
  old.replaceWith(document.importNode(fresh, true));
  addCopyButtons(document.getElementById("rules"));
}

addCopyButtons(document);
setInterval(refresh, REFRESH);
