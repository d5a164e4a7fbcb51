// Dialogs, which the browser keeps the focus in. Each resolves to whether its main button was used.

const find = (id) => document.getElementById(id);

/** Open a dialog; resolves to the value of the button that closed it. */
export function opened(id) {
  const dialog = find(id);
  dialog.returnValue = "cancel";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true });
  });
}

/** Ask for a confirmation. */
export async function confirmed(title, text, yes) {
  find("confirm-title").textContent = title;
  find("confirm-text").textContent = text;
  find("confirm-yes").textContent = yes;
  return (await opened("confirm-dialog")) === "yes";
}
