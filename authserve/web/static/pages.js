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

function sendOnce() {
  for (const form of document.querySelectorAll("form[method=post]")) {
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

// Times are UTC in the page; they are shown in the reader's language and time zone.
function showLocalTimes() {
  const format = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
  for (const time of document.querySelectorAll("time[datetime]")) {
    time.textContent = format.format(new Date(time.dateTime));
  }
}

takeLink();
addShowButtons();
sendOnce();
reloadRemembered();
showCurrentTab();
showLocalTimes();
addEventListener("hashchange", takeLink);
document.querySelector("[data-focus]")?.focus();
