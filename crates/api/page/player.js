// Plays fragmented MP4 from a WebSocket by Media Source Extensions, close to the live edge.

import { token } from "/page/token.js";

/** Seconds behind the live edge at which the player speeds up, and at which it jumps. */
const LATE = 1.0;
const TOO_LATE = 4.0;
/** Where it jumps to, seconds behind the edge. */
const EDGE = 0.3;
/** Seconds of played media that stay in the buffer. */
const KEEP = 20;
/** Fragments that wait for the buffer at most; beyond it the player starts anew instead of growing. */
const MAX_QUEUE = 500;

const closeReasons = {
  1001: "The server is going away.",
  1006: "The connection was lost.",
};

export class Player {
  /** `tell(message)` hears what a person should know; an empty text means that all is well. */
  constructor(video, tell) {
    this.video = video;
    this.tell = tell;
    this.queue = [];
    this.stopped = false;
  }

  play(name) {
    this.name = name;
    const path = name.split("/").map(encodeURIComponent).join("/");
    const url = new URL(`/live/${path}.mp4`, location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this.tell("Waiting for the stream …");
    if (token()) url.searchParams.set("token", token());
    this.socket = new WebSocket(url);
    this.socket.onopen = () => (this.open = true);
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = (event) => this.receive(event.data);
    this.socket.onclose = (event) => this.closed(event);
    this.timer = setInterval(() => this.keepUp(), 500);
  }

  stop() {
    this.stopped = true;
    clearInterval(this.timer);
    this.socket?.close();
    this.release();
  }

  release() {
    if (this.url) URL.revokeObjectURL(this.url);
    this.video.removeAttribute("src");
    this.video.load();
    this.buffer = undefined;
    this.queue = [];
  }

  receive(data) {
    if (typeof data === "string") {
      this.begin(JSON.parse(data).mime);
    } else if (this.source) {
      this.queue.push(data);
      if (this.queue.length > MAX_QUEUE) this.fail("The browser cannot keep up with this stream.");
      this.feed();
    }
  }

  /** A new MIME type comes first, and again when the stream's codecs have changed. */
  begin(mime) {
    if (!("MediaSource" in window)) return this.fail("This browser has no Media Source Extensions.");
    if (!MediaSource.isTypeSupported(mime)) return this.fail(`This browser cannot play ${mime}.`);
    if (this.url) this.release();
    this.mime = mime;
    const source = new MediaSource();
    this.source = source;
    this.url = URL.createObjectURL(source);
    this.video.src = this.url;
    source.addEventListener("sourceopen", () => this.opened(source), { once: true });
  }

  opened(source) {
    if (source !== this.source || this.stopped) return;
    this.buffer = source.addSourceBuffer(this.mime);
    this.buffer.addEventListener("updateend", () => this.feed());
    this.feed();
    this.video.play().catch(() => this.tell("Press play to start."));
  }

  feed() {
    if (!this.buffer || this.buffer.updating || !this.queue.length) return;
    try {
      this.buffer.appendBuffer(this.queue.shift());
      if (this.video.error) throw new Error(this.video.error.message);
    } catch (error) {
      this.fail(`The browser refuses the stream: ${error.message}`);
    }
  }

  /** Stays at the live edge and forgets what has been played. */
  keepUp() {
    const { video, buffer } = this;
    const ranges = buffer ? video.buffered : undefined;
    if (!ranges?.length) return;
    const edge = ranges.end(ranges.length - 1);
    const start = ranges.start(ranges.length - 1);
    if (video.readyState >= 2) this.tell("");
    this.latency = edge - video.currentTime;
    if (video.currentTime < start || this.latency > TOO_LATE) {
      video.currentTime = Math.max(start, edge - EDGE);
    }
    video.playbackRate = this.latency > LATE ? 1.05 : 1;
    const old = video.currentTime - KEEP;
    if (old > ranges.start(0) + KEEP && !buffer.updating) buffer.remove(0, old);
  }

  closed(event) {
    if (this.stopped) return;
    const refused = this.open ? "" : "The server refuses the connection; watching may need another token.";
    this.fail(event.reason || refused || closeReasons[event.code] || "The stream has ended.");
  }

  fail(message) {
    this.tell(message);
    this.stopped = true;
    clearInterval(this.timer);
    this.socket?.close();
  }
}
