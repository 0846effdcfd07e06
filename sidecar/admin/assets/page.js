// Live events and copy buttons; everything else on the page works without this file.
"use strict";

const list = document.getElementById("events");
const live = document.getElementById("live");
const KEPT = 200;

function summary(told) {
  if (told.changes) {
    const names = [...new Set(told.changes.map((change) => change.header))].join(", ");
    return `${told["http.request.method"]} ${told["url.path"]} ${told["http.response.status_code"]}: ${names}`;
  }
  return ["revision", "left", "mode", "who", "reason", "signal"].filter((key) => told[key]).map((key) => `${key} ${told[key]}`).join(", ");
}

function show(told) {
  const item = document.createElement("li");
  const time = document.createElement("time");
  const name = document.createElement("strong");
  time.textContent = told.timestamp;
  name.textContent = told.event;
  item.append(time, " ", name, " ", summary(told));
  list.prepend(item);
  while (list.children.length > KEPT) list.lastElementChild.remove();
}

const source = new EventSource("/api/events");
source.addEventListener("open", () => { live.textContent = "Live."; });
source.addEventListener("error", () => { live.textContent = "Not live: the connection is being made again."; });
source.addEventListener("told", (message) => show(JSON.parse(message.data)));
addEventListener("pagehide", () => source.close());

for (const button of document.querySelectorAll("button.copy")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.previousElementSibling.textContent);
    button.textContent = "Copied";
  });
}
