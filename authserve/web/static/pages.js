// What HTML cannot do by itself. Every page works without it; a link is then pasted by hand.

// 48 bytes in base64url. A link that a mail program cut short does not match.
const TOKEN = /^[A-Za-z0-9_-]{64}$/;

const field = document.querySelector("[data-link]");

// The token is in the fragment, which browsers do not send. It leaves the address bar, the history
// and the view of bystanders at once.
function takeLink() {
  const token = location.hash.slice(1);
  if (field === null) {
    return;
  }
  const input = field.querySelector("input");
  if (TOKEN.test(token)) {
    input.value = token;
    history.replaceState(null, "", location.pathname + location.search);
  }
  // A fault at the link itself stays in view.
  field.hidden = input.value !== "" && input.getAttribute("aria-invalid") !== "true";
}

function addShowButtons() {
  for (const button of document.querySelectorAll("[data-shows]")) {
    const input = document.getElementById(button.dataset.shows);
    button.hidden = false;
    button.addEventListener("click", () => {
      const isShown = input.type === "password";
      input.type = isShown ? "text" : "password";
      button.setAttribute("aria-pressed", String(isShown));
      input.focus();
    });
    // A password goes out hidden, or browsers would offer it later as they do other texts.
    input.form.addEventListener("submit", () => {
      input.type = "password";
      button.setAttribute("aria-pressed", "false");
    });
  }
}

// A field with `data-follows` is sent only if the checkbox of that id, of another form, is ticked.
function followCheckboxes() {
  for (const field of document.querySelectorAll("[data-follows]")) {
    field.form.addEventListener("submit", () => {
      field.disabled = !document.getElementById(field.dataset.follows).checked;
    });
  }
}

function sendOnce() {
  // A download leaves the page as it is, so its button has to work again.
  for (const form of document.querySelectorAll("form[method=post]:not([data-download])")) {
    const button = form.querySelector("button[type=submit]");
    form.addEventListener("submit", (event) => {
      if (button.getAttribute("aria-disabled") === "true") {
        event.preventDefault();
      } else {
        // Not `disabled`: that would take the focus away from the person who pressed it.
        button.setAttribute("aria-disabled", "true");
      }
    });
    // The page may come back from the browser's memory.
    addEventListener("pageshow", () => button.removeAttribute("aria-disabled"));
  }
}

// ---- passkeys ----
//
// A form with `data-passkey` is filled in by a passkey: "get" uses one, "create" makes one. It
// starts hidden, and has
//   data-options      the options, as JSON; the answer goes into its field `credential`
//   data-renewed-at   the path of new options, which makes the browser offer passkeys by itself in
//                     fields with autocomplete="webauthn"; data-expires-in: their life in seconds
//   data-unknown      the id of a passkey that the service does not know, for the browser to forget
//   [data-failed], [data-taken]   texts inside it that are shown if the passkey was not used, or if
//                     the device has one already
// Elsewhere [data-no-passkeys] is hidden, and [data-with-passkeys] shown, in a browser that knows
// passkeys.

const canUsePasskeys = globalThis.PublicKeyCredential?.parseRequestOptionsFromJSON !== undefined;

let offer = null; // Aborts the browser's offer.
let isAsking = false;

function ask(form, more) {
  const isNew = form.dataset.passkey === "create";
  const options = JSON.parse(form.dataset.options);
  const publicKey = isNew
    ? PublicKeyCredential.parseCreationOptionsFromJSON(options)
    : PublicKeyCredential.parseRequestOptionsFromJSON(options);
  return navigator.credentials[form.dataset.passkey]({ publicKey, ...more });
}

function sendPasskey(form, credential) {
  form.elements.credential.value = JSON.stringify(credential);
  form.requestSubmit();
}

// The offer stays silent: a person who ignores it or presses the button has done nothing wrong.
async function offerPasskeys(form) {
  if (!(await PublicKeyCredential.isConditionalMediationAvailable?.())) {
    return;
  }
  stopOffer();
  const ended = (offer = new AbortController());
  try {
    sendPasskey(form, await ask(form, { mediation: "conditional", signal: ended.signal }));
  } catch (error) {
    if (error.name !== "AbortError" && error.name !== "NotAllowedError") {
      throw error;
    }
  }
}

function stopOffer() {
  offer?.abort();
  offer = null;
}

async function renewOptions(form) {
  const answer = await fetch(form.dataset.renewedAt);
  if (answer.ok && !isAsking) {
    form.dataset.options = JSON.stringify((await answer.json()).public_key);
    await offerPasskeys(form);
  }
}

async function pressPasskey(form) {
  const texts = form.querySelectorAll("[data-failed], [data-taken]");
  for (const text of texts) {
    text.hidden = true;
  }
  isAsking = true;
  // A browser asks for one passkey at a time.
  stopOffer();
  try {
    sendPasskey(form, await ask(form));
  } catch (error) {
    const text = form.querySelector(error.name === "InvalidStateError" ? "[data-taken]" : "[data-failed]");
    text.setAttribute("role", "alert");
    text.hidden = false;
    text.focus();
  } finally {
    isAsking = false;
  }
}

function addPasskeys(form) {
  const { renewedAt, expiresIn, unknown, options } = form.dataset;
  form.hidden = false;
  form.querySelector("[autofocus]")?.focus(); // A hidden field has got no focus.
  form.addEventListener("submit", (event) => {
    if (form.elements.credential.value === "") {
      event.preventDefault();
      event.stopImmediatePropagation();
      if (!isAsking) {
        pressPasskey(form);
      }
    }
  });
  // An answer is good once; the page may come back from the browser's memory.
  addEventListener("pageshow", (event) => {
    form.elements.credential.value = "";
    if (event.persisted && renewedAt) {
      renewOptions(form);
    }
  });
  if (unknown) {
    const { rpId } = JSON.parse(options);
    PublicKeyCredential.signalUnknownCredential?.({ rpId, credentialId: unknown });
  }
  if (renewedAt) {
    offerPasskeys(form);
    // At three quarters of their life, so that a slow person still answers in time.
    setInterval(renewOptions, Number(expiresIn) * 750, form);
    addEventListener("pagehide", stopOffer);
  }
}

function findPasskeyForms() {
  if (canUsePasskeys) {
    for (const text of document.querySelectorAll("[data-no-passkeys]")) {
      text.hidden = true;
    }
    for (const section of document.querySelectorAll("[data-with-passkeys]")) {
      section.hidden = false;
    }
    document.querySelectorAll("[data-passkey]").forEach(addPasskeys);
  }
}

// ---- the rest ----

function addCopyButtons() {
  for (const button of document.querySelectorAll("[data-copies]")) {
    button.hidden = navigator.clipboard === undefined;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copies).innerText);
      button.textContent = button.dataset.done;
    });
  }
}

function addPrintButtons() {
  for (const button of document.querySelectorAll("[data-prints]")) {
    button.hidden = false;
    button.addEventListener("click", () => print());
  }
}

// After a sign-out, Back must not show what the browser remembers of a signed-in page.
function reloadRemembered() {
  if ("signedIn" in document.body.dataset) {
    addEventListener("pageshow", (event) => event.persisted && location.reload());
  }
}

// On a narrow screen the list of pages scrolls, and the current one may be out of view.
function showCurrentTab() {
  document.querySelector(".side [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });
}

// Times are UTC in the page. They are shown in the reader's time zone and in the page's language, in the
// form of the region that the browser names for it: "28 Nov 2026, 18:47" for en-GB.
function showLocalTimes() {
  const language = document.documentElement.lang;
  const regional = navigator.languages.find((tag) => tag.split("-")[0] === language) ?? language;
  const format = new Intl.DateTimeFormat(regional, { dateStyle: "medium", timeStyle: "short" });
  for (const time of document.querySelectorAll("time[datetime]")) {
    time.textContent = format.format(new Date(time.dateTime));
  }
}

takeLink();
addShowButtons();
followCheckboxes();
findPasskeyForms(); // Before sendOnce, which counts what goes out.
sendOnce();
addCopyButtons();
addPrintButtons();
reloadRemembered();
showCurrentTab();
showLocalTimes();
addEventListener("hashchange", takeLink);
document.querySelector("[data-focus]")?.focus();
document.querySelector("[data-sends-itself]")?.requestSubmit();
