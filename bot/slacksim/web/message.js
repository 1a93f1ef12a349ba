// One message, and lists of them that change without losing focus or place.
import { el, mrkdwn, clock } from "./mrkdwn.js";
import { emoji, drawing } from "./emoji.js";
import { blocks } from "./blocks.js";

const palette = ["#3f3d9e", "#0b7a75", "#a23b72", "#8a5a00", "#2f6690", "#6d597a", "#386641", "#9c3d10"];

export function avatar(person, small) {
  const a = el("span", { class: "avatar" + (small ? " small" : ""), "aria-hidden": "true" });
  if (!person || person.label === "app" || person.id === "USLACKBOT") {
    a.classList.add("bot");
    a.append(person?.id === "USLACKBOT" ? "S" : drawing("key"));
  } else {
    a.append(person.real.split(/[^\p{L}\p{N}]+/u).map((w) => w[0] ?? "").join("").slice(0, 2).toUpperCase());
    let n = 0;
    for (const c of person.id) n = (n * 31 + c.charCodeAt(0)) >>> 0;
    a.style.background = palette[n % palette.length];
  }
  return a;
}

const when = (ts) => new Date(Number(ts.split(".")[0]) * 1000);

const dayOf = (d) =>
  d.toDateString() === new Date().toDateString() ? "Today" : d.toLocaleDateString(undefined, { weekday: "long", month: "long", day: "numeric" });

// renderList brings list in line with the messages, replacing only what changed. ctx:
// {state, names, inThread, act(action), openThread(ts), replyCount}
export function renderList(list, messages, ctx) {
  const bottom = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
  const focus = document.activeElement;
  const hadFocus = list.contains(focus) && focus !== list ? [focus.closest("li")?.dataset.ts, focus.dataset.focus] : null;
  const old = new Map([...list.children].map((li) => [li.dataset.key, li]));
  const wanted = [];
  let previous = null;
  for (const m of messages) {
    const day = dayOf(when(m.ts));
    if (!ctx.inThread && (!previous || dayOf(when(previous.ts)) !== day)) {
      wanted.push(old.get("day:" + day) ?? el("li", { class: "day", dataset: { key: "day:" + day } }, el("span", {}, day)));
    }
    const follows = previous && previous.user === m.user && !previous.only && !m.only && !previous.replies && when(m.ts) - when(previous.ts) < 300e3 && !(ctx.inThread && previous === messages[0]);
    const signature = JSON.stringify([m, follows, ctx.state.as, m.ts === ctx.openTS]);
    const have = old.get(m.ts);
    if (have && have.signature === signature) {
      wanted.push(have);
    } else {
      const li = message(m, follows, ctx);
      li.signature = signature;
      li.says = JSON.stringify([m.text, m.blocks, m.deleted]);
      if (have && have.says !== li.says) li.classList.add("changed");
      wanted.push(li);
    }
    if (ctx.inThread && m === messages[0]) {
      const n = messages.length - 1;
      wanted.push(el("li", { class: "day left", dataset: { key: "replies" } }, el("span", {}, n === 1 ? "1 reply" : `${n} replies`)));
    }
    previous = m;
  }
  const keep = new Set(wanted);
  for (const li of [...list.children]) if (!keep.has(li)) li.remove();
  wanted.forEach((li, i) => {
    if (list.children[i] !== li) list.insertBefore(li, list.children[i] ?? null);
  });
  if (hadFocus && !list.contains(document.activeElement)) {
    const li = [...list.children].find((x) => x.dataset.ts === hadFocus[0]);
    (li && hadFocus[1] && li.querySelector(`[data-focus="${CSS.escape(hadFocus[1])}"]`))?.focus({ preventScroll: true });
  }
  if (bottom || ctx.toBottom) list.scrollTop = list.scrollHeight;
}

function message(m, follows, ctx) {
  const person = ctx.state.people.find((p) => p.id === m.user);
  const name = person?.real ?? m.user;
  const time = when(m.ts);
  const li = el("li", {
    class: ["msg", follows && "follows", m.only && "only", m.deleted && "gone", m.ts === ctx.openTS && "open"].filter(Boolean).join(" "),
    dataset: { key: m.ts, ts: m.ts },
  });
  const stamp = el("time", { datetime: time.toISOString(), title: time.toLocaleString() }, clock(time));
  li.append(
    el("div", { class: "gutter" }, follows ? stamp : avatar(person)),
    el("div", { class: "body" },
      m.only && el("p", { class: "note" }, "Only visible to you"),
      !follows && el("p", { class: "by" }, el("b", {}, name), m.app && el("span", { class: "tag" }, "app"), person?.label && !m.app && el("span", { class: "tag" }, person.label), stamp),
      el("div", { class: "content" }, content(m, ctx)),
      files(m),
      reactions(m, ctx),
      threadLink(m, ctx)));
  if (!m.only && !m.deleted) li.append(tools(m, ctx));
  return li;
}

function content(m, ctx) {
  const press = async (action, button) => {
    button.disabled = true;
    await ctx.act({ kind: "click", ts: m.ts, action });
    button.disabled = false;
  };
  const parts = m.blocks ? blocks(m.blocks, { names: ctx.names, press }) : [mrkdwn(m.text, ctx.names)];
  if (m.edited && !m.deleted) parts.push(el("span", { class: "edited" }, " (edited)"));
  return parts;
}

function files(m) {
  if (!m.files?.length) return null;
  return el("div", { class: "files" }, m.files.map((f) =>
    el("a", { class: "file", href: "file/" + encodeURIComponent(f.id), target: "_blank", rel: "noopener", dataset: { focus: "file:" + f.id, file: f.id } },
      el("b", {}, f.name), el("span", {}, bytes(f.size)))));
}

const bytes = (n) => (n < 1000 ? `${n} B` : `${(n / 1000).toFixed(1)} kB`);

function reactions(m, ctx) {
  if (!m.reactions?.length) return null;
  return el("div", { class: "reactions" }, m.reactions.map((r) => {
    const mine = r.users.includes(ctx.state.as);
    const who = r.users.map((id) => ctx.names.users[id] ?? id).join(", ");
    return el("button", {
      type: "button", class: "reaction", "aria-pressed": String(mine), title: `${who}: :${r.name}:`,
      "aria-label": `${r.name.replaceAll("_", " ")}, ${who}`, dataset: { focus: "reaction:" + r.name, emoji: r.name },
      onclick: () => ctx.act({ kind: mine ? "unreact" : "react", ts: m.ts, emoji: r.name }),
    }, emoji(r.name) ?? `:${r.name}:`, el("span", {}, String(r.users.length)));
  }));
}

function threadLink(m, ctx) {
  if (ctx.inThread || !m.replies) return null;
  return el("button", {
    type: "button", class: "replies", dataset: { focus: "replies" }, onclick: () => ctx.openThread(m.ts),
  },
    (m.repliers ?? []).slice(0, 3).map((id) => avatar(ctx.state.people.find((p) => p.id === id), true)),
    el("b", {}, m.replies === 1 ? "1 reply" : `${m.replies} replies`),
    el("span", {}, `last at ${clock(when(m.last_reply))}`));
}

function tools(m, ctx) {
  const react = (name, label) => {
    const mine = m.reactions?.find((r) => r.name === name)?.users.includes(ctx.state.as);
    return el("button", {
      type: "button", title: label, "aria-label": mine ? `Remove ${label}` : `React with ${label}`, dataset: { focus: "tool:" + name, react: name },
      onclick: () => ctx.act({ kind: mine ? "unreact" : "react", ts: m.ts, emoji: name }),
    }, emoji(name));
  };
  return el("div", { class: "tools" },
    react("white_check_mark", "check mark"), react("x", "cross"), react("eyes", "eyes"),
    !ctx.inThread && el("button", { type: "button", dataset: { focus: "tool:thread" }, onclick: () => ctx.openThread(m.ts, true) }, "Reply"));
}
