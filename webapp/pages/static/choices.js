// Parts of a form that belong to one choice show only while it is chosen.
export function startChoices() {
  for (const part of document.querySelectorAll("[data-shown-by]")) {
    const choice = document.getElementById(part.dataset.shownBy);
    if (!choice) continue;
    const show = () => {
      part.hidden = choice.value !== part.dataset.shownFor;
    };
    choice.addEventListener("change", show);
    show();
  }
}
