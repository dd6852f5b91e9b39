// One stream on the stage, by the best way there is: WebRTC straight from its site, WebRTC from here, or fragments of MP4.

import { Player } from "/page/player.js";
import { WebRtc } from "/page/webrtc.js";

const WAYS = [
  { way: "WebRTC from the site", viaSite: true },
  { way: "WebRTC", viaSite: false },
];

/** `/?way=mp4` leaves WebRTC out. */
const ways = () => {
  const asked = new URLSearchParams(location.search).get("way");
  return asked === "mp4" || !("RTCPeerConnection" in window) ? [] : WAYS;
};

export class View {
  /** `tell(message)` hears what a person should know; an empty text means that all is well. */
  constructor(video, tell) {
    this.video = video;
    this.tell = tell;
  }

  async play(name) {
    this.tell("Waiting for the stream …");
    for (const { way, viaSite } of ways()) {
      // An encoder may come back with another codec, which needs a new session; where the stream is over, the ways end.
      this.player = new WebRtc(this.video, () => this.play(name));
      try {
        await this.player.play(name, viaSite);
        this.way = way;
        if (!this.stopped) this.tell("");
        return;
      } catch (error) {
        if (this.stopped) return;
        console.info(`${name}, ${way}: ${error.message}`);
      }
    }
    this.way = "MP4";
    this.player = new Player(this.video, this.tell);
    this.player.play(name);
  }

  get latency() {
    return this.player?.latency;
  }

  stop() {
    this.stopped = true;
    this.player?.stop();
  }
}
