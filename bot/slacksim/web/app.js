// The sandbox page: who I am, where I am, and what I see, kept in the URL's hash.
import { el, mrkdwn } from "./mrkdwn.js";
import { emoji, drawing } from "./emoji.js";
import { avatar, renderList } from "./message.js";

const $ = (id) => document.getElementById(id);
const place = { as: "", channel: "", thread: "" };
let state = null;
const moved = { list: true, thread: true }; // came to another place: go to its bottom
let newest = 0; // version last asked for

// ---- place and state

function readHash() {
  const h = new URLSearchParams(location.hash.slice(1));
  const before = { ...place };
  for (const k of Object.keys(place)) place[k] = h.get(k) ?? "";
  if (place.as !== before.as || place.channel !== before.channel) moved.list = true;
  if (place.thread !== before.thread) moved.thread = true;
}

// go changes the place; the hash tells the rest of the page. The place may be a change
// behind the hash.
function go(change) {
  const next = { ...place, thread: "", ...Object.fromEntries(new URLSearchParams(location.hash.slice(1))), ...change };
  const here = state?.channels.find((c) => c.id === place.channel);
  if (next.as !== place.as && here?.kind === "im") next.channel = "";
  if (next.channel !== place.channel) next.thread = "";
  location.hash = new URLSearchParams(Object.entries(next).filter(([, v]) => v)).toString();
}

async function refresh() {
  const asked = ++newest;
  const answer = await fetch("state?" + new URLSearchParams(place)).then((r) => r.json());
  if (asked !== newest) return;
  state = answer;
  place.as = state.as;
  place.channel = state.channel;
  render();
}

async function act(action) {
  const answer = await fetch("act", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ as: place.as, channel: place.channel, ...action }),
  }).then((r) => r.json(), () => ({ error: "The sandbox does not answer. Is it still running?" }));
  if (answer.error) toast(answer.error);
  return !answer.error;
}

let toastTimer;
function toast(text) {
  $("toast").textContent = text;
  $("toast").hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => ($("toast").hidden = true), 6000);
}

// ---- what was read, by person and channel

const readKey = "twokey-sandbox-read:" + location.host;
const read = JSON.parse(sessionStorage.getItem(readKey) ?? "null") ?? {};

function markRead() {
  for (const p of state.people.filter((p) => p.can)) {
    if (!read[p.id]) read[p.id] = { ...p.last };
  }
  const me = state.people.find((p) => p.id === state.as);
  if (me?.last[state.channel]) read[me.id][state.channel] = me.last[state.channel];
  sessionStorage.setItem(readKey, JSON.stringify(read));
}

const unread = (person, channel) => (person.last[channel] ?? "") > (read[person.id]?.[channel] ?? "");

// ---- rendering

// While a pointer is down nothing is drawn: a press whose button is replaced before the
// release would be no click.
let pressed = false;
let late = false;
addEventListener("pointerdown", () => (pressed = true), true);
for (const end of ["pointerup", "pointercancel", "blur"]) {
  addEventListener(end, (e) => {
    if (end === "blur" && e.target !== window) return; // focus went from one element to another
    setTimeout(() => { // after the click
      pressed = false;
      if (late) render();
    });
  }, true);
}

function render() {
  late = pressed;
  if (late || !state.as) return;
  markRead();
  const me = state.people.find((p) => p.id === state.as);
  const channel = state.channels.find((c) => c.id === state.channel);
  const names = {
    me: state.as,
    groups: state.groups,
    users: Object.fromEntries(state.people.map((p) => [p.id, p.name])),
    channels: Object.fromEntries(state.channels.map((c) => [c.id, c.name])),
  };
  $("team").textContent = state.team;
  $("tag").hidden = /sandbox/i.test(state.team);
  document.title = `${channel.kind === "im" ? "" : "#"}${channel.name} as ${me.real} – ${state.team}`;
  renderPeople(me);
  renderChannels(me);
  $("app-state").className = "app-state " + (state.app ? "on" : "off");
  $("app-state").textContent = state.app ? `${state.bot_name} is connected (${state.app})` : `${state.bot_name} is not connected`;
  $("title").textContent = (channel.kind === "channel" ? "#" : "") + channel.name;
  $("topic").textContent = channel.topic ?? (channel.kind === "im" ? "Direct messages with the bot" : channel.kind === "group" ? `Private, ${channel.members} members` : `${channel.members} members`);
  $("text").placeholder = channel.kind === "im" ? `Message ${channel.name} as ${me.real}` : `Message #${channel.name} as ${me.real}, or type ${state.command}`;
  renderGuide(me, names);
  const ctx = { state, names, act, openTS: place.thread, toBottom: moved.list, openThread: (ts, reply) => { go({ thread: ts }); if (reply) focusReply = true; } };
  renderList($("messages"), state.messages ?? [], ctx);
  if (!$("messages").children.length) $("messages").append(el("li", { class: "empty", dataset: { key: "empty" } }, "Nothing here yet."));
  renderThread(ctx, channel);
  moved.list = moved.thread = false;
}

let focusReply = false;

function renderThread(ctx, channel) {
  const open = Boolean(place.thread && state.thread?.length);
  $("thread").hidden = !open;
  document.body.classList.toggle("threaded", open);
  if (!open) return;
  $("thread-where").textContent = (channel.kind === "im" ? "" : "#") + channel.name;
  renderList($("replies"), state.thread, { ...ctx, inThread: true, openTS: "", toBottom: moved.thread });
  $("reply-text").placeholder = `Reply, or @${state.bot_name} …`;
  if (focusReply) $("reply-text").focus();
  focusReply = false;
}

// fill replaces the children of a node, keeping focus by data-focus.
function fill(node, children) {
  const focused = node.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
  node.replaceChildren(...children);
  if (focused) node.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
}

function renderPeople(me) {
  fill($("people"), state.people.filter((p) => p.can).map((p) => {
    const news = p.id !== me.id && Object.keys(p.last).some((c) => unread(p, c));
    return el("button", {
      type: "button", class: "person", "aria-pressed": String(p.id === me.id), dataset: { focus: p.id, person: p.id }, onclick: () => go({ as: p.id }),
    }, avatar(p), el("span", { class: "grow" }, p.real, p.label && el("span", { class: "tag" }, p.label)), news && el("span", { class: "dot", role: "img", "aria-label": "has unread messages" }));
  }));
}

function renderChannels(me) {
  fill($("channels"), state.channels.map((c) =>
    el("li", {}, el("button", {
      type: "button", class: unread(me, c.id) ? "channel news" : "channel", "aria-current": c.id === state.channel ? "page" : null,
      dataset: { focus: c.id, channel: c.id }, onclick: () => go({ channel: c.id }),
    }, el("span", { class: "mark", "aria-hidden": "true" }, c.kind === "channel" ? "#" : drawing(c.kind === "im" ? "key" : "lock")),
      el("span", { class: "grow" }, c.name), unread(me, c.id) && el("span", { class: "dot", role: "img", "aria-label": "unread" })))));
}

const guideKey = "twokey-sandbox-guide";

function renderGuide(me, names) {
  const shown = localStorage.getItem(guideKey) !== "closed";
  $("help").setAttribute("aria-expanded", String(shown));
  $("guide").hidden = !shown;
  const signature = JSON.stringify([me.id, state.try, state.welcome, shown]);
  if (!shown || $("guide").signature === signature) return;
  $("guide").signature = signature;
  const others = state.people.filter((p) => p.can && !p.label && p.id !== me.id).slice(0, 2);
  fill($("guide"), [
    state.welcome && el("p", { class: "welcome" }, mrkdwn(state.welcome, names)),
    el("ol", { class: "steps" },
      el("li", {}, el("b", {}, "Ask"), el("span", {}, "Try: "),
        state.try.map((t) => el("button", { type: "button", class: "chip", dataset: { focus: t, try: t }, onclick: () => compose(t) }, t))),
      el("li", {}, el("b", {}, "Agree"), el("span", {}, "Nobody approves their own request: "),
        others.map((p) => el("button", { type: "button", class: "chip", dataset: { focus: "as" + p.id }, onclick: () => go({ as: p.id }) }, `Switch to ${p.real.split(" ")[0]}`))),
      el("li", {}, el("b", {}, "Watch"), el("span", {}, "Press Approve or react with ", emoji("white_check_mark"), ", then open the replies: the work is told there."))),
    el("button", { type: "button", class: "quiet close", "aria-label": "Hide", onclick: () => showGuide(false) }, "✕"),
  ].filter(Boolean));
}

function showGuide(on) {
  localStorage.setItem(guideKey, on ? "open" : "closed");
  render();
}

// ---- composers

function compose(text) {
  $("text").value = text;
  $("text").focus();
  grow($("text"));
  hints(false);
}

function grow(area) {
  area.style.height = "auto";
  area.style.height = Math.min(area.scrollHeight, 160) + "px";
}

let picked = -1;

// hints offers commands while "/" is being typed.
function hints(on) {
  const typed = $("text").value;
  const list = on && typed.startsWith("/") && !typed.includes("\n") ? state.try.filter((t) => t.startsWith(typed) && t !== typed) : [];
  picked = Math.min(picked, list.length - 1);
  $("hints").hidden = list.length === 0;
  $("hints").replaceChildren(...list.map((t, i) =>
    el("li", { role: "option", "aria-selected": String(i === picked), onmousedown: (e) => { e.preventDefault(); compose(t); } }, t)));
}

function hintKeys(e) {
  const n = $("hints").children.length;
  if ($("hints").hidden || n === 0) return false;
  if (e.key === "ArrowDown" || e.key === "ArrowUp") {
    picked = (picked + (e.key === "ArrowDown" ? 1 : n + (picked < 0 ? 0 : -1))) % n;
    hints(true);
  } else if (e.key === "Tab" || (e.key === "Enter" && picked >= 0)) {
    compose($("hints").children[Math.max(picked, 0)].textContent);
    picked = -1;
  } else if (e.key === "Escape") {
    $("hints").hidden = true;
  } else {
    return false;
  }
  e.preventDefault();
  return true;
}

function composer(form, area, where) {
  area.addEventListener("input", () => grow(area));
  area.addEventListener("keydown", (e) => {
    if (area === $("text") && hintKeys(e)) return;
    if (e.key === "Enter" && !e.shiftKey && !e.isComposing) {
      e.preventDefault();
      form.requestSubmit();
    }
  });
  form.addEventListener("submit", async (e) => {
    e.preventDefault();
    const text = area.value.trim();
    if (!text) return;
    moved[where() ? "thread" : "list"] = true;
    area.value = "";
    grow(area);
    hints(false);
    if (!(await act({ kind: "send", text, thread: where() })) && !area.value) area.value = text;
  });
}

// ---- beginning

composer($("composer"), $("text"), () => "");
composer($("reply"), $("reply-text"), () => place.thread);
$("text").addEventListener("input", () => hints(true));
$("text").addEventListener("blur", () => hints(false));
$("close").addEventListener("click", () => go({ thread: "" }));
$("help").addEventListener("click", () => showGuide($("guide").hidden));
document.addEventListener("keydown", (e) => {
  if (e.key === "Escape" && place.thread && !document.querySelector("dialog")) go({ thread: "" });
});
addEventListener("hashchange", () => { readHash(); refresh(); });

readHash();
const stream = new EventSource("stream");
stream.onmessage = refresh;
stream.onerror = () => {
  $("app-state").className = "app-state off";
  $("app-state").textContent = "The sandbox does not answer";
};
