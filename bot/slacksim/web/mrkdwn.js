// mrkdwn as Slack writes it, to DOM nodes. Nothing is ever parsed as HTML.

import { emoji } from "./emoji.js";

export function el(tag, props = {}, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(props)) {
    if (v === undefined || v === null || v === false) continue;
    if (k === "class") e.className = v;
    else if (k === "dataset") Object.assign(e.dataset, v);
    else if (k.startsWith("on")) e.addEventListener(k.slice(2), v);
    else e.setAttribute(k, v === true ? "" : v);
  }
  e.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
  return e;
}

const unescape = (s) => s.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");

// mrkdwn returns a fragment. names: {users, groups, channels: id→name, me: id}.
export function mrkdwn(text, names) {
  const out = document.createDocumentFragment();
  for (const [i, part] of text.split(/```\n?/).entries()) {
    if (i % 2 === 1) {
      out.append(el("pre", {}, unescape(part.replace(/\n$/, "").replace(/<([^>|]+\|)?([^>]*)>/g, "$2"))));
    } else if (part !== "") {
      out.append(...lines(part, names));
    }
  }
  return out;
}

function lines(text, names) {
  const out = [];
  let quote = null;
  const all = text.split("\n");
  all.forEach((line, i) => {
    const quoted = line.match(/^(?:&gt;|>) ?(.*)$/);
    if (quoted) {
      if (quote) quote.append(el("br"));
      else out.push((quote = el("blockquote")));
      quote.append(...inline(quoted[1], names));
      return;
    }
    if (i > 0 && !quote) out.push(el("br"));
    quote = null;
    out.push(...inline(line, names));
  });
  return out;
}

// The marks, tried in this order at each place; a mark begins and ends at a word's edge.
const marks = [
  [/^`([^`\n]+)`/, (m) => el("code", {}, unescape(m[1].replace(/<([^>|]+\|)?([^>]*)>/g, "$2")))],
  [/^<([^>]+)>/, (m, names) => angle(m[1], names)],
  [/^:([a-z0-9_+'-]+(?:::skin-tone-\d)?):/, (m) => emoji(m[1])],
  [/^\*([^\s*](?:[^*\n]*[^\s*])?)\*(?![\w])/, (m, names) => el("b", {}, ...inline(m[1], names)), true],
  [/^_([^\s_](?:[^_\n]*[^\s_])?)_(?![\w])/, (m, names) => el("i", {}, ...inline(m[1], names)), true],
  [/^~([^\s~](?:[^~\n]*[^\s~])?)~(?![\w])/, (m, names) => el("s", {}, ...inline(m[1], names)), true],
];

export function inline(text, names) {
  const out = [];
  let plain = "";
  const flush = () => {
    if (plain) out.push(unescape(plain));
    plain = "";
  };
  for (let i = 0; i < text.length; ) {
    const rest = text.slice(i);
    let hit = null;
    for (const [re, make, edge] of marks) {
      if (edge && i > 0 && /[\p{L}\p{N}]/u.test(text[i - 1])) continue;
      const m = rest.match(re);
      const node = m && make(m, names);
      if (node) {
        hit = [node, m[0].length];
        break;
      }
    }
    if (hit) {
      flush();
      out.push(hit[0]);
      i += hit[1];
    } else {
      plain += text[i++];
    }
  }
  flush();
  return out;
}

function angle(body, names) {
  const [ref, label] = body.split("|");
  switch (ref[0]) {
    case "@": {
      const id = ref.slice(1);
      return el("span", { class: id === names.me ? "mention me" : "mention" }, "@" + (names.users[id] ?? label ?? id));
    }
    case "#":
      return el("span", { class: "mention" }, "#" + (names.channels[ref.slice(1)] ?? label ?? ref.slice(1)));
    case "!":
      return special(ref.slice(1), label, names);
  }
  if (!/^(https?|mailto):/.test(ref)) return document.createTextNode(unescape(`<${body}>`));
  return el("a", { href: unescape(ref), target: "_blank", rel: "noreferrer" }, unescape(label ?? ref));
}

function special(ref, label, names) {
  if (ref.startsWith("date^")) {
    const [, seconds, format] = ref.split("^");
    return el("time", { datetime: new Date(seconds * 1000).toISOString() }, date(new Date(seconds * 1000), format));
  }
  if (ref.startsWith("subteam^")) {
    const id = ref.slice("subteam^".length);
    return el("span", { class: "mention" }, names.groups[id] ? "@" + names.groups[id] : (label ?? id));
  }
  return el("span", { class: "mention" }, "@" + (label ?? ref));
}

function date(d, format) {
  const today = new Date().toDateString() === d.toDateString();
  const short = d.toLocaleDateString(undefined, { month: "short", day: "numeric", year: "numeric" });
  const long = d.toLocaleDateString(undefined, { weekday: "long", month: "long", day: "numeric", year: "numeric" });
  const values = {
    date_num: d.toISOString().slice(0, 10), date: long, date_short: short, date_long: long,
    date_pretty: today ? "today" : long, date_short_pretty: today ? "today" : short, date_long_pretty: today ? "today" : long,
    time: clock(d), time_secs: d.toLocaleTimeString(), ago: ago(d),
  };
  return format.replace(/\{(\w+)\}/g, (all, k) => values[k] ?? all);
}

export const clock = (d) => d.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

function ago(d) {
  const s = Math.round((d - Date.now()) / 1000);
  const [n, unit] = Math.abs(s) < 90 ? [s, "second"] : Math.abs(s) < 5400 ? [Math.round(s / 60), "minute"] : [Math.round(s / 3600), "hour"];
  return new Intl.RelativeTimeFormat("en", { numeric: "auto" }).format(n, unit);
}
