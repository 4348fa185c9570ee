// Copies the code or the field beside the button, and says so on it.
function textBeside(button) {
  const field = button.dataset.copy && document.getElementById(button.dataset.copy);
  if (field) return field.value ?? field.textContent;
  return button.closest(".code").querySelector("pre").textContent;
}

async function write(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Plain http on another host than localhost: only the old way is there.
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "visually-hidden";
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("copy refused");
}

export async function copyFrom(button) {
  const before = button.dataset.label ?? button.textContent;
  button.dataset.label = before;
  try {
    await write(textBeside(button).trim());
    button.textContent = "Copied";
  } catch {
    button.textContent = "Press Ctrl+C";
  }
  setTimeout(() => {
    button.textContent = before;
  }, 1600);
}
