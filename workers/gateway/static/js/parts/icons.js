// Small pictures that go with words; hidden from screen readers, which read the word.
import { html } from "../html.js";

const PATHS = {
  none: html`<path d="M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13Zm3.3 4.8-4 4.6a.75.75 0 0 1-1.1 0L4.7 9.3a.75.75 0 1 1 1.1-1l1 1L10.2 5.3a.75.75 0 1 1 1.1 1Z" />`,
  low: html`<path d="M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13ZM8 4a1 1 0 1 1 0 2 1 1 0 0 1 0-2Zm-.75 3.25h1.5v4.5h-1.5Z" />`,
  medium: html`<path d="M7.1 2.2a1 1 0 0 1 1.8 0l5.6 10.3a1 1 0 0 1-.9 1.5H2.4a1 1 0 0 1-.9-1.5Zm.15 3.8v4h1.5V6Zm.75 5a.9.9 0 1 0 0 1.8.9.9 0 0 0 0-1.8Z" />`,
  high: html`<path d="M5.1 1h5.8L15 5.1v5.8L10.9 15H5.1L1 10.9V5.1Zm2 3v5h1.8V4Zm.9 6.2a1.05 1.05 0 1 0 0 2.1 1.05 1.05 0 0 0 0-2.1Z" />`,
  unknown: html`<path d="M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13ZM4.5 7.25h7v1.5h-7Z" />`,
  enlarge: html`<path d="M9.5 2H14v4.5h-1.5V4.6L9.6 7.5 8.5 6.4l2.9-2.9H9.5ZM2 14V9.5h1.5v1.9l2.9-2.9 1.1 1.1-2.9 2.9h1.9V14Z" />`,
  close: html`<path d="m3.5 2.4 4.5 4.5 4.5-4.5 1.1 1.1L9.1 8l4.5 4.5-1.1 1.1L8 9.1l-4.5 4.5-1.1-1.1L6.9 8 2.4 3.5Z" />`,
  camera: html`<path d="M2.5 4h7A1.5 1.5 0 0 1 11 5.5v1.3l3-1.7v5.8l-3-1.7v1.3A1.5 1.5 0 0 1 9.5 12h-7A1.5 1.5 0 0 1 1 10.5v-5A1.5 1.5 0 0 1 2.5 4Z" />`,
  zones: html`<path d="M1.5 4.5 9 2l5.5 4-2 7.5-9 .5Zm1.6.95 1.5 7 6.8-.4 1.5-5.5L8.7 3.6Z" />`,
  bell: html`<path d="M8 1.5a4 4 0 0 1 4 4V8l1.3 2.6a.6.6 0 0 1-.5.9H3.2a.6.6 0 0 1-.5-.9L4 8V5.5a4 4 0 0 1 4-4Zm-1.8 11h3.6a1.8 1.8 0 0 1-3.6 0Z" />`,
};

export function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 16 16" aria-hidden="true">${PATHS[name]}</svg>`;
}
