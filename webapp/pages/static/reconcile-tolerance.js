// The tolerance as a slider over the points of the curve; the choice list that works without it stays its value.

export function startTolerance(root) {
  for (const list of root.querySelectorAll("select[data-tolerance]")) enhance(list);
}

function enhance(list) {
  const form = list.form;
  const slider = document.createElement("input");
  slider.type = "range";
  slider.min = 0;
  slider.max = list.options.length - 1;
  slider.step = 1;
  slider.value = list.selectedIndex;
  slider.id = list.id;
  list.removeAttribute("id");
  list.hidden = true;
  list.before(slider);
  const told = form.querySelector("[data-tolerance-words]");
  const line = form.querySelector("[data-curve-now]");
  const use = form.querySelector("[data-tolerance-button]");
  const approve = form.closest("article").querySelector("[data-approve]");
  const proposed = list.options[Number(list.dataset.proposed)].dataset.words;
  const plain = approve.textContent;
  const show = () => {
    list.selectedIndex = Number(slider.value);
    const at = list.selectedOptions[0].dataset;
    const number = document.createElement("strong");
    number.textContent = at.matched;
    told.replaceChildren(`${at.words}: `, number, ` of ${list.dataset.total} left records matched, ${at.share}`);
    slider.setAttribute("aria-valuetext", told.textContent);
    for (const name of ["x1", "x2"]) line.setAttribute(name, at.x);
    use.disabled = slider.value === list.dataset.proposed;
    use.textContent = use.disabled ? "Move the slider to change it" : `Use ${at.words}`;
    // What is approved is what the card says, not where the slider stands.
    use.classList.toggle("primary", !use.disabled);
    approve.classList.toggle("primary", use.disabled);
    approve.textContent = use.disabled ? plain : `Approve with ${proposed}`;
  };
  slider.addEventListener("input", show);
  show();
}
