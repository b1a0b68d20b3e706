// htm bound to Preact: markup as tagged templates. Values become text nodes or attributes, never markup.
import { h } from "../vendor/preact.mjs";
import htm from "../vendor/htm.mjs";

export const html = htm.bind(h);
