// Asks for the token and trades it for a cookie; the token is kept nowhere on the page.
import { html } from "../html.js";
import { useRef, useState } from "../../vendor/hooks.mjs";
import { t } from "../i18n.js";
import { login } from "../connection.js";

export function Login() {
  const input = useRef(null);
  const [problem, setProblem] = useState("");
  const submit = async (event) => {
    event.preventDefault();
    const found = await login(input.current.value);
    if (!found || !input.current) return;
    setProblem(found);
    input.current.select();
  };
  return html`<form class="login" onSubmit=${submit}>
    <h2>${t("login.title")}</h2>
    <p class="quiet">${t("login.hint")}</p>
    <label for="token">${t("login.label")}</label>
    <input id="token" type="password" autocomplete="current-password" required autofocus ref=${input} aria-describedby="login-problem" />
    <p id="login-problem" class="problem" role="alert">${problem && t(problem)}</p>
    <button class="primary">${t("action.login")}</button>
  </form>`;
}
