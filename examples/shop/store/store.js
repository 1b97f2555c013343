// The storefront.  Everything shown comes from the server: which items, which model chose them, and why.
"use strict";

const $ = (id) => document.getElementById(id);
const SHOWN = 12;
let products = new Map();
let categories = [];
let customer = null;
let asked = 0; // only the last question's answer is shown

async function call(path, body) {
  const options = body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const reply = await fetch(path, options);
  const said = await reply.json();
  if (!reply.ok) throw new Error(said.error || reply.statusText);
  return said;
}

function element(name, text, className) {
  const e = document.createElement(name);
  if (text !== undefined) e.textContent = text;
  if (className) e.className = className;
  return e;
}

function tile(id) {
  const item = products.get(id);
  const li = element("li");
  li.dataset.item = id;
  const picture = element("div", item.category.slice(0, 2), "picture");
  picture.style.background = `hsl(${categories.indexOf(item.category) * 360 / categories.length} 45% 42%)`;
  const text = element("div", undefined, "text");
  text.append(element("strong", item.name), element("small", item.tags.join(", ")), element("span", item.price.toFixed(2)));
  if (item.new) text.append(element("small", "new in the shop"));
  const acts = element("div", undefined, "acts");
  const look = element("button", "look");
  const buy = element("button", "buy");
  look.onclick = () => { view(id); };
  buy.onclick = () => { purchase(id); };
  acts.append(look, buy);
  li.append(picture, text, acts);
  return li;
}

const names = (ids) => ids.filter((id) => id > 0).map((id) => products.get(id).name).join(", ") || "nothing yet";

function showCustomer() {
  $("who").textContent = `Customer ${customer.user}, ${customer.purchases} purchase${customer.purchases === 1 ? "" : "s"}`;
  $("viewed").textContent = names(customer.viewed);
  $("bought").textContent = names(customer.recent.slice(0, 8)) + (customer.purchases > 8 ? ", ..." : "");
}

// Each rule that was asked: what it says, what came of it, and the facts in it that have a name.
function showRules(explained) {
  const rows = explained.rules.filter((rule) => rule.asked).map((rule) => {
    const row = element("tr");
    const when = rule.when || { rule: "always", value: true, parts: [] };
    const facts = (when.parts || []).filter((part) => /^[a-z_]+(\.\w+)+$/.test(part.text));
    const said = element("td");
    said.append(element("code", when.rule));
    if (facts.length) said.append(element("small", facts.map((f) => `${f.text} = ${f.value}`).join(", ")));
    row.append(element("td", rule.name), said, element("td", String(when.value)));
    if (rule.chosen) row.className = "chosen";
    return row;
  });
  $("rules").tBodies[0].replaceChildren(...rows);
}

async function recommend() {
  const mine = ++asked;
  showCustomer();
  try {
    const said = await call("api/recommend", customer);
    if (mine !== asked) return;
    $("error").textContent = "";
    $("products").replaceChildren(...said.items.slice(0, SHOWN).map(tile));
    $("answered").textContent = `${said.model}, version ${said.version}`;
    $("answered").dataset.model = said.model;
    $("why").textContent = `${said.why}; ${said.ms} ms`;
    showRules(said.explained);
  } catch (error) {
    if (mine === asked) $("error").textContent = error.message;
  }
}

async function become(kind) {
  document.querySelectorAll("[data-kind]").forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.kind === kind)));
  customer = await call(`api/customer?kind=${kind}`);
  await recommend();
}

function view(id) {
  customer.viewed = [id, ...customer.viewed.filter((v) => v !== id)].slice(0, 5);
  recommend();
}

function purchase(id) {
  customer.recent = [id, ...customer.recent].slice(0, 20);
  customer.purchases += 1;
  customer.viewed = customer.viewed.map((v) => (v === id ? 0 : v));
  recommend();
}

function showState(state) {
  $("time").textContent = state.time;
  if (document.activeElement !== $("hour")) $("hour").value = Number(state.time.slice(0, 2));
  $("load").setAttribute("aria-pressed", String(state.load));
  $("load").textContent = state.load ? `stop the newsletter (${state.lists} lists)` : "start the newsletter (load)";
}

// What changes the server's load or clock changes who answers: ask again.
async function change(path, body) {
  try {
    showState(await call(path, body));
  } catch (error) {
    $("error").textContent = error.message;
  }
  await recommend();
}

async function begin() {
  const catalogue = await call("catalogue.json");
  categories = catalogue.categories;
  products = new Map(catalogue.items.map((item) => [item.id, item]));
  document.querySelectorAll("[data-kind]").forEach((b) => { b.onclick = () => become(b.dataset.kind); });
  $("hour").onchange = () => change("api/time", { hour: Number($("hour").value) });
  $("now").onclick = () => change("api/time", { hour: null });
  $("load").onclick = () => change("api/load", { on: $("load").getAttribute("aria-pressed") !== "true" });
  showState(await call("api/state"));
  await become("new");
  document.body.dataset.ready = "yes";
  setInterval(async () => {
    try {
      const state = await call("api/state");
      showState(state);
      if (state.load || $("why").textContent.includes("rule busy")) await recommend(); // load comes and goes: so does who answers
    } catch (error) {
      $("error").textContent = error.message;
    }
  }, 1000);
}

begin().catch((error) => { $("error").textContent = error.message; });
