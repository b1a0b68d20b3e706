// Starts and stops cameras, where the gateway allows it (gateway.camera_control).
import { html } from "../html.js";
import { useRef, useState } from "../../vendor/hooks.mjs";
import { t } from "../i18n.js";
import { command } from "../connection.js";
import { control } from "../state.js";

export function Switch({ camera }) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState(null);
  if (!control.value || camera.knownBy.value === "messages") return null;
  const ask = async (method, path, body) => {
    setBusy(true);
    setProblem(await command(method, path, body));
    setBusy(false);
  };
  const name = camera.name.value;
  const path = `/${encodeURIComponent(camera.id)}`;
  const action = camera.watched.value ? "stop" : "start";
  return html`<p class="switch">
    <button class="plain" disabled=${busy} onClick=${() => ask("POST", `${path}/${action}`, {})} aria-label=${t(`control.${action}.camera`, { camera: name })}>${t(`control.${action}`)}</button>
    ${camera.knownBy.value === "api" && html`<button class="plain" disabled=${busy} onClick=${() => ask("DELETE", path)} aria-label=${t("control.remove.camera", { camera: name })}>${t("control.remove")}</button>`}
    ${problem && html`<span class="problem" role="alert">${words(problem)}</span>`}
  </p>`;
}

export function AddCamera() {
  const form = useRef(null);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState(null);
  if (!control.value) return null;
  const submit = async (event) => {
    event.preventDefault();
    const { camera_id, source, name } = Object.fromEntries(new FormData(form.current));
    setBusy(true);
    const found = await command("POST", "", { camera_id, ...(source && { source }), ...(name && { name }) });
    setBusy(false);
    setProblem(found);
    if (!found) form.current?.reset();
  };
  return html`<details class="add-camera">
    <summary>${t("control.add")}</summary>
    <form ref=${form} onSubmit=${submit}>
      <label>${t("control.id")}<input name="camera_id" required maxlength="100" pattern="[A-Za-z0-9][A-Za-z0-9_.\\-]*" autocomplete="off" /></label>
      <label>${t("control.source")}<input name="source" maxlength="1000" placeholder="rtsp://10.0.0.5/stream1" autocomplete="off" spellcheck=${false} /></label>
      <label>${t("control.name")}<input name="name" maxlength="100" autocomplete="off" /></label>
      <button class="primary" disabled=${busy}>${t("control.start")}</button>
      <p class="problem" role="alert">${problem && words(problem)}</p>
    </form>
  </details>`;
}

// What the gateway says, in the reader's language where the page knows the code.
function words({ code, message }) {
  const key = `control.problem.${code}`;
  const text = t(key);
  return text === key ? message : text;
}
