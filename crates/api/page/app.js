// The first page: sites and streams, live; a click plays.

import { show, siteCard, streamCard, updateSite, updateStream } from "/page/list.js";
import { Stage } from "/page/stage.js";
import { headers, remember, token } from "/page/token.js";

const find = (id) => document.getElementById(id);
export const stage = new Stage(find("grid"), (message, name) => {
  find("message").textContent = message && stage.cells.length > 1 ? `${name}: ${message}` : message;
});
const video = stage.first.video;

async function get(path) {
  const response = await fetch(path, { headers: headers() });
  find("token-form").hidden = response.status !== 401;
  if (response.status === 401) throw new Error(token() ? "it does not accept this token" : "it asks for a token");
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

find("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  remember(find("token").value);
  refresh();
});

function play(name) {
  find("stage").hidden = false;
  find("playing").textContent = stage.cells.length > 1 ? "" : name;
  find("facts").textContent = "";
  video.muted = true;
  stage.play(name);
  find("stage").scrollIntoView({ behavior: "smooth", block: "nearest" });
}

find("close").addEventListener("click", () => {
  stage.stop();
  find("stage").hidden = true;
});

for (const button of document.querySelectorAll("[data-cells]")) {
  button.addEventListener("click", () => stage.split(Number(button.dataset.cells)));
}

find("unmute").addEventListener("click", () => {
  video.muted = !video.muted;
});
video.addEventListener("volumechange", () => {
  find("unmute").textContent = video.muted ? "Sound on" : "Sound off";
});

function facts() {
  const player = stage.first.player;
  if (!player || !video.videoWidth) return;
  const latency = player.latency === undefined ? "" : ` · ${player.latency.toFixed(1)} s behind`;
  find("facts").textContent = `${video.videoWidth}×${video.videoHeight} · ${player.way}${latency}`;
}

async function refresh() {
  if (document.hidden) return;
  try {
    const [sites, streams] = await Promise.all([get("/api/v1/sites"), get("/api/v1/streams")]);
    show(find("sites"), sites, (site) => site.id, siteCard, updateSite);
    show(find("streams"), streams, (stream) => stream.name, (stream) => streamCard(stream, play), updateStream);
    find("no-sites").hidden = sites.length > 0;
    find("no-streams").hidden = streams.length > 0;
    find("status").textContent = `${sites.length} sites · ${streams.length} streams`;
    facts();
  } catch (error) {
    find("status").textContent = `No data from the server: ${error.message}`;
  }
}

const scheme = location.protocol === "https:" ? "wss" : "ws";
find("command").textContent = `downstream --upstream ${scheme}://${location.host} --site my-site --stream cams/door=file:sample.flv`;
document.addEventListener("visibilitychange", refresh);
setInterval(refresh, 1000);
refresh();
