// The dashboard. Data flows one way: connection -> state (signals) -> parts.
import { render } from "../vendor/preact.mjs";
import { html } from "./html.js";
import { t } from "./i18n.js";
import { start } from "./connection.js";
import { announced, cameraList, connection, loaded, view } from "./state.js";
import { Alerts } from "./parts/alerts.js";
import { Card } from "./parts/card.js";
import { AddCamera } from "./parts/control.js";
import { Enlarged } from "./parts/enlarged.js";
import { Banner, Header, Tabs } from "./parts/header.js";
import { Icon } from "./parts/icons.js";
import { Login } from "./parts/login.js";

const EXAMPLE = "vision-stream capture --camera cam-01 --source sim:crossing";

function App() {
  if (connection.value.state === "login") return html`<${Header} /><main class="login-page"><${Login} /></main>`;
  return html`<${Header} />
    <${Banner} />
    <${Tabs} />
    <main class="columns show-${view.value}">
      <${Cameras} />
      <${Alerts} />
    </main>
    <${Enlarged} />
    <p class="unseen" role="status" aria-live="polite">${announced}</p>`;
}

function Cameras() {
  const list = cameraList.value;
  const density = list.length <= 1 ? "one" : list.length <= 6 ? "few" : list.length <= 16 ? "some" : "many";
  return html`<section class="cameras" aria-label=${t("cameras.title")}>
    ${list.length === 0 ? html`<${NoCamera} />` : html`<div class="grid grid-${density}">${list.map((camera) => html`<${Card} key=${camera.id} camera=${camera} />`)}</div>`}
    <${AddCamera} />
  </section>`;
}

function NoCamera() {
  if (!loaded.value) return html`<div class="empty"><p class="quiet">${t("connection.connecting")}…</p></div>`;
  return html`<div class="empty">
    <${Icon} name="camera" />
    <p>${t("cameras.empty")}</p>
    <p class="quiet">${t("cameras.empty.hint")}</p>
    <code>${EXAMPLE}</code>
  </div>`;
}

const root = document.getElementById("app");
root.replaceChildren();
render(html`<${App} />`, root);
start();
