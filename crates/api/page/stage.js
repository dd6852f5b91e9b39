// The stage: one, four or nine players side by side.

import { View } from "/page/view.js";

const SPLITS = [1, 4, 9];

export class Stage {
  /** `root` holds the grid; `tell(message)` hears what a person should know. */
  constructor(root, tell) {
    this.root = root;
    this.tell = tell;
    this.cells = [];
    const asked = Number(new URLSearchParams(location.search).get("split"));
    this.split(SPLITS.includes(asked) ? asked : 1);
  }

  /** Shows `count` cells; those beyond it stop. */
  split(count) {
    while (this.cells.length > count) this.remove(this.cells.pop());
    while (this.cells.length < count) this.cells.push(this.add());
    this.root.dataset.split = count;
  }

  add() {
    const cell = { box: document.createElement("div"), video: document.createElement("video") };
    cell.box.className = "cell";
    if (!this.cells.length) cell.video.id = "video";
    Object.assign(cell.video, { playsInline: true, muted: true, controls: true });
    cell.title = document.createElement("span");
    cell.box.append(cell.video, cell.title);
    this.root.append(cell.box);
    return cell;
  }

  remove(cell) {
    cell.player?.stop();
    cell.box.remove();
  }

  /** Plays in the first empty cell; without one in the one that has played for longest. */
  play(name) {
    const cell = this.cells.find((cell) => !cell.player) ?? this.oldest();
    cell.player?.stop();
    cell.title.textContent = this.cells.length > 1 ? name : "";
    cell.since = performance.now();
    cell.player = new View(cell.video, (message) => this.tell(message, name));
    cell.player.play(name);
  }

  oldest() {
    return this.cells.reduce((oldest, cell) => (cell.since < oldest.since ? cell : oldest));
  }

  stop() {
    for (const cell of this.cells) {
      cell.player?.stop();
      cell.player = undefined;
      cell.title.textContent = "";
    }
  }

  get first() {
    return this.cells[0];
  }
}
