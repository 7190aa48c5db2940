// A search box as a combobox: suggestions below it, by keyboard and by pointer. Without this script it is a plain form.
// A suggestion leads to its page, or, in a form that says data-fill, is written into the box.

const WAIT_MS = 120;

function optionOf(suggestion, id) {
  const option = document.createElement("li");
  option.id = id;
  option.role = "option";
  option.ariaSelected = "false";
  option.dataset.address = suggestion.address;
  option.dataset.name = suggestion.name ?? suggestion.title;
  const kind = document.createElement("span");
  kind.className = `kind kind-${suggestion.label.toLowerCase()}`;
  kind.textContent = suggestion.label;
  const title = document.createElement("bdi");
  title.textContent = suggestion.title;
  const count = document.createElement("span");
  count.className = "quiet";
  count.textContent = suggestion.citations === 1 ? "1 citation" : `${suggestion.citations.toLocaleString("en")} citations`;
  option.append(kind, title);
  if (suggestion.name) {
    const also = document.createElement("span");
    also.className = "quiet";
    also.textContent = `also ${suggestion.name}`;
    option.append(also);
  }
  option.append(count);
  return option;
}

function makeCombobox(form, input) {
  const list = document.createElement("ul");
  const said = document.createElement("span");
  list.id = `${input.id}-options`;
  list.className = "options";
  list.role = "listbox";
  list.ariaLabel = "Suggestions";
  list.hidden = true;
  said.className = "hidden";
  said.role = "status";
  input.parentElement.append(list, said);
  input.role = "combobox";
  input.setAttribute("aria-autocomplete", "list");
  input.setAttribute("aria-expanded", "false");
  input.setAttribute("aria-controls", list.id);

  let asked = 0;
  let timer = 0;
  let chosen = -1;

  const close = () => {
    list.hidden = true;
    chosen = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const take = (option) => {
    if (!("fill" in form.dataset)) return location.assign(option.dataset.address);
    input.value = option.dataset.name;
    asked += 1;
    clearTimeout(timer);
    return close();
  };
  const choose = (index) => {
    const options = [...list.children];
    chosen = options.length ? (index + options.length + 1) % (options.length + 1) : -1;
    if (chosen === options.length) chosen = -1;
    options.forEach((option, at) => { option.ariaSelected = String(at === chosen); });
    if (chosen < 0) return input.removeAttribute("aria-activedescendant");
    input.setAttribute("aria-activedescendant", options[chosen].id);
    return options[chosen].scrollIntoView({ block: "nearest" });
  };
  const show = (suggestions) => {
    // What was chosen among the suggestions of before, while these were on their way, stays chosen.
    const kept = chosen < 0 ? null : list.children[chosen].dataset.address;
    list.replaceChildren(...suggestions.map((one, at) => optionOf(one, `${list.id}-${at}`)));
    close();
    list.hidden = suggestions.length === 0;
    input.setAttribute("aria-expanded", String(suggestions.length > 0));
    said.textContent = suggestions.length ? `${suggestions.length} suggestions` : "No suggestion";
    const again = suggestions.findIndex((one) => one.address === kept);
    if (again >= 0) choose(again);
  };
  const ask = async () => {
    const typed = input.value.trim();
    const number = ++asked;
    if (!typed) return show([]);
    try {
      const address = new URL(form.dataset.suggest, location.href);
      address.searchParams.set("q", typed);
      const answer = await fetch(address);
      const found = answer.ok ? (await answer.json()).suggestions : [];
      if (number === asked && document.activeElement === input) show(found);
    } catch {
      if (number === asked) close();
    }
  };

  input.addEventListener("input", () => {
    choose(-1);
    clearTimeout(timer);
    timer = setTimeout(ask, WAIT_MS);
  });
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) ask();
      else choose(event.key === "ArrowDown" ? chosen + 1 : (chosen < 0 ? list.children.length : chosen) - 1);
    } else if (event.key === "Escape" && !list.hidden) {
      event.preventDefault();
      close();
    } else if (event.key === "Enter" && !list.hidden && chosen >= 0) {
      event.preventDefault();
      take(list.children[chosen]);
    } else if (event.key === "Tab") {
      close();
    }
  });
  input.addEventListener("blur", close);
  form.addEventListener("submit", () => { asked += 1; clearTimeout(timer); });
  // Before the input loses its focus, which would close the list.
  list.addEventListener("pointerdown", (event) => {
    const option = event.target.closest("[role=option]");
    event.preventDefault();
    if (option && event.button === 0) take(option);
  });
}

document.querySelectorAll("form[data-suggest]").forEach((form) => {
  form.querySelectorAll("input[type=search]").forEach((input) => makeCombobox(form, input));
});
