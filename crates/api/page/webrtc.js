// Plays a stream by WHEP: straight from its site where the browser reaches it, else from here.

import { headers } from "/page/token.js";

/** Milliseconds until there must be a path to the other end, and until there must be a picture. */
const PATH = 2000;
const PICTURE = 5000;

const within = (milliseconds, promise, what) =>
  Promise.race([promise, new Promise((_, fail) => setTimeout(() => fail(new Error(what)), milliseconds))]);

const happens = (target, type, test) =>
  new Promise((done) => {
    const look = () => test() && done();
    target.addEventListener(type, look);
    look();
  });

const address = (name) => `/whep/${name.split("/").map(encodeURIComponent).join("/")}`;

/** The values of `Link` headers (RFC 8288 section 3), and the parameters of each: `; name=value` or `; name="value"`. */
const LINK = /<([^>]*)>((?:\s*;\s*[\w-]+\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s;,"]*))*)/g;
const PARAMETER = /;\s*([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*))/g;

/** STUN and TURN servers among the links (RFC 9725 section 4.6), as `RTCPeerConnection` takes them. */
export const linked = (header) =>
  [...(header ?? "").matchAll(LINK)].flatMap(([, urls, rest]) => {
    const parameters = [...rest.matchAll(PARAMETER)];
    const entries = parameters.map(([, key, quoted, bare]) => [key, quoted?.replace(/\\(.)/g, "$1") ?? bare]);
    const { rel, username, credential } = Object.fromEntries(entries);
    if (rel !== "ice-server") return [];
    return [credential === undefined ? { urls } : { urls, username, credential }];
  });

let servers;

/** Asks once which STUN and TURN servers there are; where that fails it plays without them and asks again. */
async function iceServers(name) {
  servers ??= fetch(address(name), { method: "OPTIONS", headers: headers() }).then(({ ok, status, headers }) => {
    if (!ok) throw new Error(`refused with ${status}`);
    return linked(headers.get("Link"));
  });
  return within(PATH, servers, "no word of ICE servers").catch(() => {
    servers = undefined;
    return [];
  });
}

export class WebRtc {
  /** `ended()` hears that the stream has ended or the connection is lost. */
  constructor(video, ended) {
    this.video = video;
    this.ended = ended;
  }

  /** Resolves when pictures or sound play; rejects, with everything closed, when they do not come in time. */
  async play(name, viaSite) {
    try {
      await this.connect(name, viaSite);
      this.began = true;
    } catch (error) {
      this.stop();
      throw error;
    }
  }

  async connect(name, viaSite) {
    const pc = new RTCPeerConnection({ iceServers: await iceServers(name) });
    this.pc = pc;
    if (this.stopped) throw new Error("stopped");
    const tracks = new MediaStream();
    const streams = ["audio", "video"].map((kind) => pc.addTransceiver(kind, { direction: "recvonly" }));
    await pc.setLocalDescription();
    const answer = await this.exchange(name, viaSite, pc.localDescription.sdp);
    await pc.setRemoteDescription({ type: "answer", sdp: answer });
    for (const { currentDirection, receiver } of streams) {
      if (currentDirection === "recvonly") tracks.addTrack(receiver.track);
    }
    const connected = happens(pc, "connectionstatechange", () => pc.connectionState === "connected");
    await within(PATH, connected, "no path");
    pc.addEventListener("connectionstatechange", () => this.changed());
    this.video.srcObject = tracks;
    this.video.play().catch(() => {});
    const plays = happens(this.video, "timeupdate", () => this.video.currentTime > 0);
    await within(PICTURE, plays, "no picture");
  }

  /** Candidates are left out: the other end learns them from the browser's own checks. */
  async exchange(name, viaSite, offer) {
    const response = await fetch(`${address(name)}${viaSite ? "?via=site" : ""}`, {
      method: "POST",
      headers: { ...headers(), "Content-Type": "application/sdp" },
      body: offer,
    });
    if (response.status !== 201) throw new Error(`refused with ${response.status}`);
    this.session = response.headers.get("Location");
    return response.text();
  }

  changed() {
    const lost = ["failed", "closed", "disconnected"].includes(this.pc?.connectionState);
    if (lost && this.began && !this.stopped) {
      this.stop();
      this.ended();
    }
  }

  stop() {
    this.stopped = true;
    this.pc?.close();
    if (this.session) fetch(this.session, { method: "DELETE", headers: headers(), keepalive: true }).catch(() => {});
    this.session = undefined;
    this.video.srcObject = null;
  }
}
