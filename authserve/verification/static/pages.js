"use strict";

// 48 bytes in base64url. A link that a mail program cut short does not match.
const TOKEN = /^[A-Za-z0-9_-]{64}$/;

// Just over the time after which the server itself gives a request up.
const TIMEOUT_MS = 35_000;

const INCOMPLETE = [
  "This link is not complete",
  "A part of it is missing. Open the link in the mail once more, or copy the whole of it into the address bar.",
];

const NO_ANSWER = [
  "No answer came",
  "Check your connection, then press the button once more. If the link counts as used after that, the first try went through.",
];

const CONFLICTS = {
  email_taken: [
    "Another account uses this address",
    "Nothing was changed. Sign in and choose another address, or sign in to that other account.",
  ],
};

const FIELD_FAULTS = {
  wrong_password: ["password", "The password is wrong. Your link is still good: try again."],
  username_taken: ["username", "Another user has this username. Choose another one."],
};

const form = document.querySelector("form");
const button = form.querySelector("button");
const action = button.textContent;
const inputs = Array.from(form.querySelectorAll("input[name]"));
const toggles = Array.from(form.querySelectorAll("input[data-shows]"));

let token = "";
let isBusy = false;

function takeToken() {
  token = location.hash.slice(1);
  // Removes the token from the address bar, from the history and from the view of bystanders.
  history.replaceState(null, "", location.pathname);
  return TOKEN.test(token);
}

function paragraph(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

function show(kind, [heading, ...texts]) {
  const message = document.getElementById("message");
  message.dataset.kind = kind;
  message.replaceChildren(
    paragraph("h2", heading),
    ...texts.map((text) => paragraph("p", text)),
  );
  message.focus();
}

function finish(kind, words) {
  token = "";
  form.reset();
  form.hidden = true;
  show(kind, words);
}

function clear() {
  document.getElementById("message").replaceChildren();
  for (const input of inputs) {
    input.removeAttribute("aria-invalid");
    document.getElementById(`${input.id}-faults`).replaceChildren();
  }
}

// Shows the faults next to their fields and focuses the first; returns true if there is any field.
function showFaults(errors) {
  const faulty = inputs.filter((input) => Object.hasOwn(errors, input.name));
  for (const input of faulty) {
    input.setAttribute("aria-invalid", "true");
    document
      .getElementById(`${input.id}-faults`)
      .replaceChildren(...errors[input.name].map((text) => paragraph("li", text)));
  }
  faulty[0]?.focus();
  return faulty.length > 0;
}

function findMissing() {
  const missing = inputs.filter((input) => input.required && input.value === "");
  return Object.fromEntries(missing.map((input) => [input.name, [input.dataset.missing]]));
}

function readFields() {
  const values = inputs.map((input) => [
    input.name,
    // A password counts as it is, spaces and all.
    input.autocomplete.endsWith("password") ? input.value : input.value.trim(),
  ]);
  return Object.fromEntries(values.filter(([, value]) => value !== ""));
}

function inWords(seconds) {
  if (seconds < 90) {
    return seconds === 1 ? "1 second" : `${seconds} seconds`;
  }
  return `${Math.ceil(seconds / 60)} minutes`;
}

function readWait(response) {
  const seconds = Number.parseInt(response.headers.get("Retry-After"), 10);
  return seconds > 0 ? inWords(seconds) : "a minute";
}

async function readProblem(response) {
  try {
    const problem = await response.json();
    return { code: String(problem.code), errors: problem.errors ?? {} };
  } catch {
    // A proxy in between may answer in its own way, without JSON.
    return { code: "", errors: {} };
  }
}

function explain(response, { code, errors }) {
  if (code === "invalid_or_expired_token" || code === "not_found") {
    return finish("dead", ["This link is not good any more", form.dataset.dead]);
  }
  if (Object.hasOwn(FIELD_FAULTS, code)) {
    const [name, text] = FIELD_FAULTS[code];
    return showFaults({ [name]: [text] });
  }
  if (code === "validation_failed" && showFaults(errors)) {
    return undefined;
  }
  if (code === "validation_failed" && "token" in errors) {
    return finish("dead", INCOMPLETE);
  }
  if (Object.hasOwn(CONFLICTS, code)) {
    return show("problem", CONFLICTS[code]);
  }
  if (response.status === 429) {
    const wait = `Wait ${readWait(response)}, then press the button once more.`;
    return show("problem", ["There were too many attempts", wait]);
  }
  if ([502, 503, 504].includes(response.status)) {
    const wait = `Wait ${readWait(response)}, then press the button once more.`;
    return show("problem", ["The service is busy", wait]);
  }
  const reference = response.headers.get("X-Correlation-ID");
  return show("problem", [
    "Something went wrong",
    "Press the button once more. If it happens again, tell the operator of this service.",
    ...(reference === null ? [] : [`Reference: ${reference}`]),
  ]);
}

async function call() {
  const giveUp = new AbortController();
  const timer = setTimeout(() => giveUp.abort(), TIMEOUT_MS);
  try {
    const response = await fetch(form.dataset.call, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json" },
      body: JSON.stringify({ token, ...readFields() }),
      redirect: "error",
      signal: giveUp.signal,
    });
    return [response, response.ok ? null : await readProblem(response)];
  } finally {
    clearTimeout(timer);
  }
}

function setBusy(value) {
  isBusy = value;
  // Not `disabled`: that would take the focus away from who pressed it.
  button.setAttribute("aria-disabled", String(value));
  button.textContent = value ? "One moment …" : action;
  for (const toggle of toggles) {
    // A password goes out hidden, or browsers would offer it later as they do other texts.
    const type = toggle.checked && !value ? "text" : "password";
    document.getElementById(toggle.dataset.shows).type = type;
  }
}

async function submit() {
  clear();
  if (showFaults(findMissing())) {
    return;
  }
  setBusy(true);
  let answer = null;
  try {
    answer = await call();
  } catch {
    // No connection, or no answer in time.
  }
  setBusy(false);
  if (answer === null) {
    show("problem", NO_ANSWER);
  } else if (answer[1] === null) {
    finish("done", [form.dataset.doneHeading, form.dataset.done]);
  } else {
    explain(...answer);
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!isBusy) {
    submit();
  }
});

for (const toggle of toggles) {
  toggle.addEventListener("change", () => setBusy(isBusy));
}

// Another link of this kind, opened over the page, changes the fragment alone.
addEventListener("hashchange", () => location.reload());

document.getElementById("loading").hidden = true;
if (takeToken()) {
  form.hidden = false;
} else {
  finish("dead", INCOMPLETE);
}
