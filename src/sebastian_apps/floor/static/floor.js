// The floor page: one stream of whole views, drawn over the last one without losing focus or place.
import { clock, draw, span } from "./charts.js";

const $ = (id) => document.getElementById(id);
const SILENCE_MS = 25_000;
const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;
const proof = document.querySelector("meta[name=floor-proof]").content;
let view = null;
let ahead = 0; // how far the server's clock is before this browser's, in milliseconds
let heardAt = 0;
let source = null;

// ---- the stream -----------------------------------------------------------------------------
function connect() {
  source?.close();
  heardAt = Date.now();
  source = new EventSource("/floor/events");
  source.addEventListener("floor", (event) => { heard(); show(JSON.parse(event.data)); });
  source.addEventListener("beat", heard);
  source.addEventListener("error", () => {
    pulse("lost", "connection lost, trying again");
    if (source.readyState === EventSource.CLOSED) retry();
  });
}

async function retry() {
  const answer = await fetch("/floor").catch(() => null);
  if (answer?.status === 401) return location.reload();
  setTimeout(connect, 2000);
}

function heard() {
  heardAt = Date.now();
  pulse("live", "live");
}

function pulse(state, text) {
  if ($("pulse").dataset.state === state) return;
  $("pulse").dataset.state = state;
  $("pulse-text").textContent = text;
}

// ---- drawing --------------------------------------------------------------------------------
function show(next) {
  view = next;
  ahead = Date.parse(view.at) - Date.now();
  const { numbers, minutes } = view;
  document.title = numbers.waiting ? `${numbers.waiting} waiting · Sebastian` : "Sebastian";
  keyed($("banners"), view.banners, (b) => b.name + b.about, makeBanner, fillBanner);
  showNumbers(numbers, minutes);
  showLine(numbers);
  showAgents();
  keyed($("decision-rows"), view.decisions, (d) => d.key, makeDecision, fillDecision);
  $("decisions-none").hidden = view.decisions.length > 0;
  showCharts(minutes);
  tick();
}

function showNumbers(n, minutes) {
  const total = n.taken + n.free;
  number("n-waiting", n.waiting, n.stuck ? `${n.stuck} stuck` : n.waiting ? "" : "nobody", n.stuck ? "bad" : n.waiting ? "wait" : "");
  number("n-slots", n.taken, `of ${total}, ${n.free} free`, total && !n.free ? "wait" : "");
  number("n-online", n.online, `of ${plural(n.agents, "agent")}`, n.online ? "" : "bad");
  const [before, now] = minutes.slice(-2);
  const given = now ? Math.round(now.assigned + before.assigned * (1 - secondOfMinute() / 60)) : 0;
  number("n-minute", given, now ? `${Math.round(now.arrived + before.arrived * (1 - secondOfMinute() / 60))} arrived` : "");
  const all = minutes.reduce((sum, m) => sum + m.assigned, 0);
  const waited = minutes.reduce((sum, m) => sum + m.assigned * m.mean_seconds, 0);
  number("n-wait", all ? seconds(waited / all) : "–", all ? `longest ${seconds(Math.max(...minutes.map((m) => m.longest_seconds)))}` : "nobody yet");
}

function number(id, value, note, mood = "") {
  const tile = $(id);
  text(tile.querySelector("b"), String(value));
  text(tile.querySelector("small"), note);
  tile.dataset.mood = mood;
}

function showLine(n) {
  keyed($("line-rows"), view.line, (w) => w.room, makeWaiting, fillWaiting);
  $("nothing").hidden = n.waiting > 0;
  $("line-more").hidden = !view.more_waiting;
  text($("line-more"), `and ${view.more_waiting} more behind them`);
  const last = view.last;
  const waited = last?.waited_seconds == null ? "" : ` after ${seconds(last.waited_seconds)}`;
  text($("last"), last ? `The last customer went to ${last.agent}${waited}, at ${clock(last.at)}.` : "Sebastian is ready for the first customer.");
}

function showAgents() {
  const there = view.agents.filter((a) => a.online || a.load);
  keyed($("cards"), there, (a) => a.id, makeAgent, fillAgent);
  keyed($("absent"), view.agents.filter((a) => !a.online && !a.load), (a) => a.id, makeAbsent, (li, a) => text(li.firstChild, a.name));
  $("agents-more").hidden = !view.more_agents;
  text($("agents-more"), `and ${view.more_agents} more`);
}

function showCharts(minutes) {
  const sum = (key) => minutes.reduce((all, m) => all + m[key], 0);
  const told = (m) => `${clock(m.at)}: ${m.arrived} arrived, ${m.assigned} assigned` + (m.assigned ? `, mean wait ${seconds(m.mean_seconds)}, longest ${seconds(m.longest_seconds)}` : "");
  draw($("chart-flow"), minutes, { bars: ["assigned"], line: "arrived", unit: (v) => String(v), describe: told, label: `In the last hour ${sum("arrived")} arrived and ${sum("assigned")} were assigned.` });
  draw($("chart-wait"), minutes, { bars: ["longest_seconds", "mean_seconds"], unit: span, describe: told, label: `The longest wait in the last hour was ${seconds(Math.max(0, ...minutes.map((m) => m.longest_seconds)))}.` });
}

const makeBanner = () => make("div", "banner", make("strong"), make("span"));
function fillBanner(box, banner) {
  box.dataset.level = banner.level;
  text(box.firstChild, banner.text + (banner.at ? ` (${clock(banner.at)})` : ""));
  text(box.lastChild, banner.remedy);
}

function makeWaiting(w) {
  return make("li", "", make("span", "place"), roomButton(w.room), make("span", "wait"), make("span", "why"));
}

function fillWaiting(li, w) {
  const [place, , wait, why] = li.children;
  li.dataset.waits = w.waits;
  text(place, String(w.place));
  since(wait, w.since);
  why.dataset.why = w.why;
  why.dataset.until = w.until ?? "";
  why.classList.toggle("stuck", w.stuck);
}

function makeAgent(a) {
  const name = nameButton(a);
  return make("li", "", make("div", "head", make("span", "dot"), name, make("span", "count")), make("div", "slots"));
}

function fillAgent(li, a) {
  const [head, slots] = li.children;
  li.dataset.standing = a.standing;
  li.dataset.online = a.online;
  li.dataset.paused = a.paused;
  text(head.children[1], a.name);
  text(head.children[2], a.paused ? "paused" : a.online ? `${a.load}/${a.capacity}` : "offline");
  const free = Math.max(0, Math.min(a.capacity, 24) - a.load);
  const more = a.load - a.places.length;
  const fill = [...a.places.map((p) => ({ ...p, key: p.room })), ...(more > 0 ? [{ key: "more", more }] : []), ...Array.from({ length: free }, (_, i) => ({ key: `free ${i}` }))];
  keyed(slots, fill, (p) => p.key, makeSlot, fillSlot);
}

function makeSlot(p) {
  if (!p.room) return make("span", "slot");
  const slot = make("button", "slot");
  slot.addEventListener("click", () => openRoom(p.room));
  return slot;
}

function fillSlot(slot, p) {
  if (!p.room) {
    slot.dataset.kind = p.more ? "more" : "free";
    return text(slot, p.more ? `+${p.more}` : "");
  }
  slot.dataset.kind = p.doubt ? "doubt" : p.state === "reserved" ? "reserved" : p.adopted ? "adopted" : "assigned";
  slot.dataset.short = p.since;
  slot.dataset.label = `room ${p.room}${p.state === "reserved" ? ", being given" : p.adopted ? ", given by others" : ""}${p.doubt ? `, in doubt: ${p.doubt}` : ""}`;
}

function makeAbsent(a) {
  return make("li", "", nameButton(a));
}

function makeDecision(d) {
  const at = make("time");
  at.dateTime = d.at;
  at.textContent = new Date(d.at).toLocaleTimeString([], { hourCycle: "h23" });
  return make("li", "", at, make("span", "mark"), make("span", "", roomButton(d.room), make("span"), make("small", "because")));
}

function fillDecision(li, d) {
  const [, sentence, why] = li.children[2].children;
  li.dataset.move = d.move;
  text(sentence, ` ${d.text}`);
  sentence.classList.toggle("by-hand", d.by_hand);
  text(why, d.why);
}

function roomButton(room) {
  const button = make("button", "room");
  button.textContent = room;
  button.title = "Why?";
  button.addEventListener("click", () => openRoom(room));
  return button;
}

function nameButton(a) {
  const button = make("button", "name");
  button.addEventListener("click", () => openAgent(a.id));
  return button;
}

// ---- what changes by itself -----------------------------------------------------------------
const now = () => Date.now() + ahead;
const secondOfMinute = () => new Date(now()).getSeconds();

function tick() {
  if (!view) return;
  const oldest = view.numbers.oldest_at ? now() - Date.parse(view.numbers.oldest_at) : 1;
  if (view.numbers.waiting && !view.numbers.stuck) text($("n-waiting").querySelector("small"), `oldest ${age(view.numbers.oldest_at)}`);
  for (const each of document.querySelectorAll("[data-since]")) {
    text(each, age(each.dataset.since));
    each.parentElement.style.setProperty("--share", `${Math.min(100, Math.max(0, (100 * (now() - Date.parse(each.dataset.since))) / oldest))}%`);
  }
  for (const each of document.querySelectorAll("[data-short]")) {
    text(each, short(each.dataset.short));
    attribute(each, "aria-label", `${each.textContent}: ${each.dataset.label}`);
    attribute(each, "title", `${each.dataset.label}, since ${age(each.dataset.short)}`);
  }
  for (const each of document.querySelectorAll("[data-why]")) {
    const until = each.dataset.until;
    const left = until ? Math.max(0, Math.ceil((Date.parse(until) - now()) / 1000)) : 0;
    text(each, each.dataset.why + (until ? (left ? `, next look in ${seconds(left)}` : ", any moment now") : ""));
  }
  if (Date.now() - heardAt > SILENCE_MS) {
    pulse("lost", "connection lost, trying again");
    connect();
  }
}

// ---- a hand on the wheel --------------------------------------------------------------------
async function openRoom(room) {
  const dialog = $("room-dialog");
  dialog.dataset.room = room;
  text($("room-title"), `Room ${room}`);
  text($("room-done"), "");
  $("room-told").replaceChildren(make("p"));
  $("room-acts").hidden = true;
  if (!dialog.open) dialog.showModal();
  await tellRoom(room);
}

async function tellRoom(room) {
  const answer = await fetch(`/floor/why?room=${encodeURIComponent(room)}&zone=${encodeURIComponent(ZONE)}`).catch(() => null);
  const told = await answer?.json().catch(() => null);
  if ($("room-dialog").dataset.room !== room) return;
  const lines = told?.lines ?? [told?.detail ?? "It cannot be asked right now."];
  $("room-told").replaceChildren(...lines.map((line) => { const p = make("p", line.startsWith("  ") ? "item" : ""); p.textContent = line.trim(); return p; }));
  $("room-acts").hidden = !told?.waits;
  const slots = (a) => (a.paused ? -1 : a.capacity - a.load);
  const agents = (view?.agents.filter((a) => a.online) ?? []).sort((a, b) => slots(b) - slots(a));
  const options = agents.map((a) => { const o = make("option"); o.value = a.id; o.textContent = `${a.name} (${a.paused ? "paused, " : ""}${a.load} of ${a.capacity})`; return o; });
  $("assign-agent").replaceChildren(...options);
}

function openAgent(id) {
  const agent = view.agents.find((a) => a.id === id);
  const dialog = $("agent-dialog");
  dialog.dataset.agent = id;
  text($("agent-title"), agent.name);
  text($("agent-done"), "");
  text($("agent-told"), `Agent ${id}, ${agent.online ? "online" : "offline"}${agent.paused ? ", paused" : ""}: ${plural(agent.load, "chat")}, capacity ${agent.capacity}.`);
  $("capacity-value").value = agent.capacity;
  $("default-value").value = view.default_capacity;
  $("agent-pause").dataset.act = agent.paused ? "resume" : "pause";
  text($("agent-pause"), agent.paused ? "Resume" : "Pause");
  if (!dialog.open) dialog.showModal();
}

async function act(name, wanted, told) {
  const answer = await fetch(`/floor/actions/${name}`, { method: "POST", headers: { "content-type": "application/json", "x-floor-proof": proof }, body: JSON.stringify(wanted) }).catch(() => null);
  const done = await answer?.json().catch(() => null);
  told.dataset.done = done?.done ?? false;
  text(told, done?.text ?? done?.detail ?? "It cannot be done right now.");
  return done?.done ?? false;
}

async function actOnRoom(name, more = {}) {
  const room = $("room-dialog").dataset.room;
  await act(name, { room, ...more }, $("room-done"));
  await tellRoom(room);
}

async function actOnAgent(name, more = {}) {
  const agent = Number($("agent-dialog").dataset.agent);
  const done = await act(name, { agent, ...more }, $("agent-done"));
  if (done && name === "pause") becomes("resume", "Resume");
  if (done && name === "resume") becomes("pause", "Pause");
}

function becomes(name, label) {
  $("agent-pause").dataset.act = name;
  text($("agent-pause"), label);
}

$("room-acts").addEventListener("click", (event) => { const name = event.target.dataset?.act; if (name) actOnRoom(name); });
$("agent-pause").addEventListener("click", (event) => actOnAgent(event.target.dataset.act));
$("assign").addEventListener("submit", (event) => { event.preventDefault(); const form = event.target; actOnRoom("assign", { agent: Number(form.agent.value), over: form.over.checked }); });
$("capacity").addEventListener("submit", (event) => { event.preventDefault(); actOnAgent("capacity", { capacity: Number($("capacity-value").value) }); });
$("capacity-default").addEventListener("click", () => actOnAgent("capacity", { capacity: null }));
$("default").addEventListener("submit", (event) => { event.preventDefault(); act("default-capacity", { capacity: Number($("default-value").value) }, $("agent-done")); });
$("default-file").addEventListener("click", () => act("default-capacity", { capacity: null }, $("agent-done")));
$("find").addEventListener("submit", (event) => { event.preventDefault(); openRoom(event.target.room.value.trim()); });
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.matches("input, select, textarea") || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  $("find-room").focus();
});

// ---- small things ---------------------------------------------------------------------------
/** Make the children of `box` tell `items`, keeping the element of each key. */
function keyed(box, items, key, create, fill) {
  const old = (box.kept ??= new Map());
  const kept = new Map();
  let at = box.firstChild;
  for (const item of items) {
    const name = String(key(item));
    const child = old.get(name) ?? create(item);
    old.delete(name);
    fill(child, item);
    kept.set(name, child);
    if (child === at) at = at.nextSibling;
    else box.insertBefore(child, at);
  }
  for (const child of old.values()) child.remove();
  box.kept = kept;
}

function make(name, className = "", ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (name === "button") made.type = "button";
  made.append(...children);
  return made;
}

function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

function attribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

function since(element, at) {
  element.dataset.since = at;
}

const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
const age = (at) => seconds(Math.max(0, (now() - Date.parse(at)) / 1000), 60);

function short(at) {
  const s = Math.max(0, Math.round((now() - Date.parse(at)) / 1000));
  return s < 60 ? `${s}s` : s < 3600 ? `${Math.floor(s / 60)}m` : s < 86400 ? `${Math.floor(s / 3600)}h` : `${Math.floor(s / 86400)}d`;
}

function seconds(s, wholeFrom = 10) {
  if (s < 0.1 && wholeFrom <= 10) return `${Math.round(s * 1000)} ms`;
  if (s < wholeFrom && wholeFrom <= 10) return `${s.toFixed(1)} s`;
  if (s < 60) return `${Math.round(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
}

setInterval(tick, 1000);
connect();
