// Cards of sites and streams, kept in place while their facts change.

const units = ["B", "KB", "MB", "GB", "TB"];

/** Bytes for people. */
export function bytes(count) {
  let unit = 0;
  while (count >= 1000 && unit < units.length - 1) {
    count /= 1000;
    unit += 1;
  }
  return `${unit ? count.toFixed(1) : count} ${units[unit]}`;
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Makes the list show `items`: cards are made by `make`, changed by `update`, and keep focus while they stay. */
export function show(list, items, key, make, update) {
  const have = new Map([...list.children].map((child) => [child.dataset.key, child]));
  for (const item of items) {
    const name = key(item);
    let entry = have.get(name);
    have.delete(name);
    if (!entry) {
      entry = document.createElement("li");
      entry.dataset.key = name;
      entry.append(make(item));
    }
    update(entry.firstChild, item);
    list.append(entry);
  }
  for (const gone of have.values()) gone.remove();
}

export function siteCard(site) {
  const card = element("div", "card");
  card.append(element("strong", "", site.name || site.id), element("span", "soft facts"), element("span", "links"));
  return card;
}

export function updateSite(card, site) {
  const rtt = site.rtt_ms === null ? "" : ` · ${site.rtt_ms} ms`;
  const facts = `${site.address}${rtt} · in ${bytes(site.bytes_in)} · out ${bytes(site.bytes_out)}`;
  card.querySelector(".facts").textContent = facts;
  const links = card.querySelector(".links");
  // What plays a site's streams has no page.
  const services = site.services.filter((service) => service !== "webrtc");
  if (links.childElementCount === services.length) return;
  links.replaceChildren(
    ...services.map((service) => {
      const link = element("a", "", service);
      link.href = `/proxy/${encodeURIComponent(site.id)}/${encodeURIComponent(service)}/`;
      link.target = "_blank";
      link.rel = "noopener";
      return link;
    }),
  );
}

export function streamCard(stream, play) {
  const card = element("button", "card");
  card.type = "button";
  card.append(element("span", "state"), element("strong", "", stream.name), element("span", "soft facts"));
  card.addEventListener("click", () => play(stream.name));
  return card;
}

export function updateStream(card, stream) {
  const state = card.querySelector(".state");
  state.textContent = stream.state;
  state.classList.toggle("live", stream.state === "live");
  const tracks = stream.tracks.map((track) => (track.width ? `${track.codec} ${track.width}×${track.height}` : track.codec));
  const viewers = Object.values(stream.viewers).reduce((sum, count) => sum + count, 0);
  const facts = [...tracks, `${viewers} watching`, bytes(stream.bytes_in)];
  card.querySelector(".facts").textContent = facts.join(" · ");
}
