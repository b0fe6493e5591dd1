// The page: what the visitor does goes to /api, what /api tells is shown. Text is only ever text.
"use strict";

const $ = id => document.getElementById(id);
const editor = new MaskEditor($("canvas"));
let state = { recipes: null }, picture = null, chosen = "", recipe = "", busy = false;

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("the studio does not answer; is it still running?");
  }
  const reply = (answer.headers.get("content-type") || "").startsWith("application/json") ? await answer.json() : {};
  if (!answer.ok) throw new Error(reply.error || (await answer.text().catch(() => "")) || `refused (${answer.status})`);
  return reply;
}

const post = (path, body) =>
  ask(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body || {}) });

function say(error) {
  $("wrong").textContent = error ? error.message || String(error) : "";
  $("wrong").hidden = !error;
}

async function attempt(does) {
  if (busy) return;
  busy = true;
  try {
    say();
    await does();
  } catch (error) {
    say(error);
  }
  busy = false;
}

function made(tag, text, properties = {}) {
  return Object.assign(document.createElement(tag), text === undefined ? {} : { textContent: text }, properties);
}

// --- the picture

async function take(file) {
  if (!file) return;
  if (file.size > state.upload) throw new Error(`${file.name}: over ${state.upload / 1e6} MB; shrink it`);
  const kind = file.type.startsWith("image/") ? file.type : "application/octet-stream";
  $("drop").querySelector("span").textContent = `Reading ${file.name} …`;
  try {
    const added = await ask(`api/pictures?name=${encodeURIComponent(file.name)}`, {
      method: "POST", headers: { "content-type": kind }, body: file,
    });
    elevated = false;
    await show(added);
  } finally {
    $("drop").querySelector("span").textContent = "Drop a picture here, or choose one";
    $("file").value = "";
  }
}

async function show(added) {
  await editor.open(`api/pictures/${added.ident}/colours`, `api/pictures/${added.ident}/mask?${Date.now()}`);
  picture = added;
  tell(picture.notes);
  $("editor").hidden = $("form").hidden = false;
  $("drop").classList.add("small");
  history.replaceState(null, "", `#${picture.ident}`); // so that a reload keeps it
  estimate();
}

// What was painted goes to the studio, once and one after the other.
let saved = Promise.resolve();
function save() {
  saved = saved.catch(() => {}).then(async () => {
    const own = picture;
    if (!editor.changed) return;
    editor.changed = false;
    try {
      const answer = await ask(`api/pictures/${own.ident}/mask`, {
        method: "PUT", headers: { "content-type": "image/png" }, body: await editor.blob(),
      });
      if (picture === own) tell((picture = answer).notes);
    } catch (error) {
      if (picture === own) editor.changed = true;
      throw error;
    }
  });
  return saved;
}

const tell = notes => $("notes").replaceChildren(...notes.map(note => made("li", note)));

$("file").addEventListener("change", () => attempt(() => take($("file").files[0])));
for (const name of ["dragover", "dragleave", "drop"]) {
  addEventListener(name, event => {
    event.preventDefault();
    $("drop").classList.toggle("over", name === "dragover");
    if (name === "drop") attempt(() => take(event.dataTransfer.files[0]));
  });
}
addEventListener("paste", event => {
  const file = event.clipboardData.files[0];
  if (file) attempt(() => take(file));
});
for (const radio of document.getElementsByName("brush")) radio.addEventListener("change", () => { editor.erasing = radio.value === "erase"; });
$("size").addEventListener("input", () => { editor.size = Number($("size").value); editor.draw(); });
editor.onbrush = () => {
  for (const radio of document.getElementsByName("brush")) radio.checked = (radio.value === "erase") === editor.erasing;
  $("size").value = editor.size;
};
$("undo").addEventListener("click", () => editor.undo());
$("clear").addEventListener("click", () => editor.clear());
$("again").addEventListener("click", () => attempt(async () => { await show(picture); editor.changed = true; estimate(); }));
editor.onpaint = () => estimate(700);

// --- the options

let elevated = false; // by hand; else the run estimates it, as is shown
let guess = null; // what the studio says of the picture and the recipe, once it has
let asked = 0;

function elevate() {
  if (guess && !elevated) $("elevation").value = Math.round(guess.degrees);
  const degrees = Number($("elevation").value);
  $("degrees").textContent = elevated || guess ? `${degrees}°` : "…";
  $("camera").setAttribute("transform", `rotate(${degrees})`);
  $("estimated").hidden = !(elevated && guess);
}
$("elevation").addEventListener("input", () => { elevated = true; elevate(); });
$("estimated").addEventListener("click", () => { elevated = false; elevate(); });

// Shows what a run would take, a while after the last change.
async function estimate(wait = 0) {
  const mine = ++asked, own = picture;
  await new Promise(done => setTimeout(done, wait));
  if (mine !== asked || !own || !recipe) return;
  guess = null;
  $("estimate").textContent = "estimating …";
  elevate();
  let found = null, text;
  try {
    await save();
    found = await post("api/elevation", { picture: own.ident, recipe });
    text = found.std_deg === null ? `${degreesOf(found)} unless you move it: ${recipe} does not estimate it`
      : `estimated: about ${degreesOf(found)}, give or take ${Math.round(found.std_deg)}`;
  } catch (error) {
    text = `not estimated: ${error.message}`;
  }
  if (mine !== asked) return;
  guess = found;
  $("estimate").textContent = text;
  elevate();
}

const degreesOf = found => `${Math.round(found.degrees)}°`;

function recipes() {
  if (!state.recipes) return;
  const one = choice => {
    const label = made("label", undefined, { className: choice.why ? "off" : "" });
    const radio = made("input", undefined, { type: "radio", name: "recipe", value: choice.name, disabled: Boolean(choice.why) });
    radio.checked = choice.name === recipe;
    radio.addEventListener("change", () => choose(choice));
    const costs = [choice.steps && `${choice.steps.toLocaleString("en")} steps`, choice.machine, choice.weights].filter(Boolean).join(" · ");
    label.append(radio, made("span", `${choice.name}: ${choice.summary}`), made("small", costs));
    if (choice.why) label.append(made("small", `not here: ${choice.why}`));
    return label;
  };
  const first = state.recipes.find(choice => !choice.why);
  if (!recipe && first) choose(first);
  const nothing = made("p", state.wrong || "There is no recipe.");
  $("recipes").replaceChildren(...(state.recipes.length ? state.recipes.map(one) : [nothing]));
}

function choose(choice) {
  recipe = choice.name;
  $("words").hidden = !choice.prompt;
  $("prompt").required = choice.prompt;
  estimate();
}

$("form").addEventListener("submit", event => {
  event.preventDefault();
  attempt(async () => {
    await save();
    const options = { picture: picture.ident, recipe };
    if (elevated) options.elevation_deg = Number($("elevation").value);
    for (const key of ["steps", "seed"]) if ($(key).value) options[key] = Number($(key).value);
    if (!$("words").hidden) options.prompt = $("prompt").value;
    chosen = (await post("api/runs", options)).name;
    await look();
    $("run").scrollIntoView({ block: "nearest" });
  });
});

// --- the runs

const SAID = { waiting: "waits", running: "runs", stopping: "ends after this step", done: "done", stopped: "stopped", failed: "failed" };

function brief(run) {
  const steps = run.total ? ` · step ${run.done} of ${run.total}` : "";
  const before = run.state === "waiting" && run.place ? ` behind ${run.place}` : "";
  return `${SAID[run.state]}${before}${run.state === "done" ? "" : steps}`;
}

async function look() {
  const runs = await ask("api/runs");
  if (!chosen && runs.length) chosen = runs[0].name;
  $("none").hidden = runs.length > 0;
  const key = JSON.stringify([chosen, runs.map(run => [run.name, brief(run)])]);
  if ($("list").dataset.key !== key) {
    $("list").dataset.key = key;
    const held = document.activeElement?.dataset?.run;
    $("list").replaceChildren(...runs.map(run => {
      const button = made("button", undefined, { type: "button" });
      button.dataset.run = run.name;
      button.setAttribute("aria-current", String(run.name === chosen));
      button.append(made("span", run.name), made("span", brief(run)));
      button.addEventListener("click", () => attempt(() => { chosen = run.name; return look(); }));
      const item = made("li");
      item.append(button);
      return item;
    }));
    if (held) [...$("list").querySelectorAll("button")].find(button => button.dataset.run === held)?.focus();
  }
  if (chosen) detail(await ask(`api/runs/${encodeURIComponent(chosen)}`));
}

function detail(run) {
  const own = inner => `runs/${encodeURIComponent(run.name)}/${inner.split("/").map(encodeURIComponent).join("/")}`;
  $("run").hidden = false;
  $("name").textContent = run.name;
  const text = brief(run) + (run.line && !run.alive ? `: ${run.line}` : "");
  if ($("state").textContent !== text) $("state").textContent = text;
  $("progress").max = run.total || 1;
  $("progress").value = run.done;
  $("progress").hidden = run.state === "done";
  $("stop").hidden = !run.alive;
  $("stop").disabled = run.state === "stopping";
  $("resume").hidden = !run.resumable;
  $("log").textContent = run.log.join("\n");
  const links = run.alive ? [] : [
    ...run.models.map(inner => [own(inner), inner]),
    ...(run.report ? [[own("report.html"), "Report"]] : []),
    ...(run.models.length || run.report || run.resumable ? [[`api/runs/${encodeURIComponent(run.name)}/zip`, "All of it (ZIP)"]] : []),
  ];
  const key = JSON.stringify([run.name, links]);
  if ($("links").dataset.key !== key) {
    $("links").dataset.key = key;
    $("links").replaceChildren(...links.map(([href, name]) => made("a", name, { href, className: "button", download: name === "Report" ? `${run.name}.html` : "" })));
  }
  let shown = "";
  if (run.alive && run.viewer) {
    shown = `http://${location.hostname}:${run.viewer.port}/${run.viewer.token ? `?token=${run.viewer.token}` : ""}`;
  } else if (!run.alive && run.report) {
    shown = own("report.html");
  }
  if (($("frame").dataset.shown || "") !== shown) {
    $("frame").dataset.shown = shown;
    $("frame").hidden = !shown;
    $("frame").src = shown || "about:blank";
  }
  const preview = shown || !run.preview ? "" : own(run.preview);
  $("preview").hidden = !preview;
  if (preview && $("preview").getAttribute("src") !== preview) $("preview").src = preview;
}

$("stop").addEventListener("click", () => attempt(async () => { await post(`api/runs/${encodeURIComponent(chosen)}/stop`); await look(); }));
$("resume").addEventListener("click", () => attempt(async () => { await post(`api/runs/${encodeURIComponent(chosen)}/resume`); await look(); }));

async function begin() {
  const first = state.elevation_deg === undefined;
  state = await ask("api/state");
  if (first) {
    $("elevation").value = state.elevation_deg;
    elevate();
    $("limits").textContent = `PNG, JPEG, WebP, AVIF, HEIC, GIF, BMP, TIFF; up to ${state.upload / 1e6} MB and ${state.megapixels} megapixels`;
    $("where").textContent = `runs are in ${state.folder}`;
  }
  recipes();
  if (first && location.hash.length > 1) await ask(`api/pictures/${encodeURIComponent(location.hash.slice(1))}`).then(show).catch(() => {});
}

async function turn() {
  try {
    if (!state.recipes) await begin();
    if (!document.hidden) await look();
    if ($("wrong").dataset.lost) say();
    delete $("wrong").dataset.lost;
  } catch (error) {
    say(error);
    $("wrong").dataset.lost = "yes";
  }
  setTimeout(turn, 1000);
}
turn();
