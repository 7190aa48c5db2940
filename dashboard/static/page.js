// What pages do beyond links and forms: copy a citation, open an abstract in its place, send ticks as they are set.

document.documentElement.classList.add("scripted");

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
  } catch {
    window.prompt("Copy the citation:", button.dataset.copy);
  }
  button.setAttribute("aria-live", "polite");
  setTimeout(() => { button.textContent = before; }, 2000);
});

// The answer is a fragment of ours, escaped where it was written.
document.querySelectorAll("details[data-source]").forEach((details) => {
  details.addEventListener("toggle", async () => {
    if (!details.open || details.dataset.loaded) return;
    details.dataset.loaded = "yes";
    try {
      const answer = await fetch(details.dataset.source);
      if (answer.ok) details.querySelector(".place").innerHTML = await answer.text();
    } catch {
      delete details.dataset.loaded;
    }
  });
});

document.querySelectorAll("form[data-submit-on-change]").forEach((form) => {
  form.addEventListener("change", () => form.requestSubmit());
});
