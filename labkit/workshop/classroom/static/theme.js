// The theme: the system's, unless the instructor chose one in this browser.

const KEY = "swarm-lab-class-theme";

export function theme(select) {
  select.value = stored();
  apply(select.value);
  select.addEventListener("change", () => {
    apply(select.value);
    try { localStorage.setItem(KEY, select.value); } catch { /* a browser without storage forgets it */ }
  });
}

function stored() {
  let found = "";
  try { found = localStorage.getItem(KEY) ?? ""; } catch { /* no storage */ }
  return ["light", "dark"].includes(found) ? found : "";
}

function apply(chosen) {
  if (chosen) document.documentElement.dataset.theme = chosen;
  else delete document.documentElement.dataset.theme;
}
