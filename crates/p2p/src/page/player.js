// Plays a video whose segments come from peers, and shows what each peer gave.

import {Swarm} from './peers.js';

// Seconds that are fetched ahead of what is shown, and that are kept behind it.
const AHEAD = 30;
const BEHIND = 30;
// Segments of a stream that are on their way at the same time.
const PARALLEL = 2;
const LOOK = 500;

const vid = location.pathname.split('/').pop();
const video = document.getElementById('video');
const state = {verified: 0, unverified: 0, wrong: 0, appended: 0, error: ''};

function note(text, bad = false) {
    const element = document.getElementById('note');
    [element.textContent, element.className] = [text, bad ? 'bad' : ''];
}

async function json(path) {
    const answer = await fetch(path);
    if (!answer.ok) {
        throw new Error((await answer.json().catch(() => ({}))).detail ?? `${path}: ${answer.status}`);
    }
    return answer.json();
}

/** Whether a segment has the hash that the HTTP face tells. Browsers hash on secure pages only. */
async function verify(itag, index, bytes) {
    if (!crypto.subtle) {
        state.unverified += 1;
        return true;
    }
    const [answer, digest] = await Promise.all([
        fetch(`/video/${vid}/${itag}/${index}.sha256`),
        crypto.subtle.digest('SHA-256', bytes),
    ]);
    if (!answer.ok) {
        state.unverified += 1;
        return true;
    }
    const expected = (await answer.text()).trim().slice(0, 64).toLowerCase();
    const got = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
    state[got === expected ? 'verified' : 'wrong'] += 1;
    return got === expected;
}

function changed(buffer, change) {
    return new Promise((resolve, reject) => {
        buffer.addEventListener('updateend', resolve, {once: true});
        buffer.addEventListener('error', () => reject(new Error('the browser does not take a segment')), {once: true});
        change();
    });
}

const event = (name) => new Promise((resolve) => {
    const timer = setTimeout(resolve, LOOK);
    video.addEventListener(name, () => { clearTimeout(timer); resolve(); }, {once: true});
});

function isBuffered(buffer, time) {
    const {buffered} = buffer;
    return Array.from({length: buffered.length}, (_, at) => at)
        .some((at) => buffered.start(at) <= time + 0.1 && time < buffered.end(at));
}

function bufferedEnd(buffer, time) {
    const {buffered} = buffer;
    for (let at = 0; at < buffered.length; at += 1) {
        if (buffered.start(at) <= time + 0.1 && time < buffered.end(at)) {
            return buffered.end(at);
        }
    }
    return time;
}

/** Fetches a stream's segments in order, a few at a time, and starts again where somebody seeks. */
async function feed(swarm, media, stream, duration) {
    const path = `/video/${vid}/${stream.itag}`;
    const {segments} = await json(`/play/${vid}/${stream.itag}/segments.json`);
    const buffer = media.addSourceBuffer(stream.type);
    const init = await fetch(`${path}/${stream.init.join('-')}.ts`);
    await changed(buffer, async () => buffer.appendBuffer(await init.arrayBuffer()));
    let next = 0;
    let under = new Map();
    const get = (index) => {
        const id = `${vid}:${stream.itag}`;
        return swarm.segment(id, index, (bytes) => verify(stream.itag, index, bytes));
    };
    video.addEventListener('seeking', () => {
        if (!isBuffered(buffer, video.currentTime) && duration > 0) {
            next = Math.max(0, Math.floor(video.currentTime / duration * segments) - 1);
        }
    });
    for (;;) {
        if (next >= segments || bufferedEnd(buffer, video.currentTime) - video.currentTime > AHEAD) {
            if (next >= segments) {
                state[`ended${stream.itag}`] = true;
                finish(media);
            }
            await event('timeupdate');
            continue;
        }
        for (let index = next; index < Math.min(next + PARALLEL, segments); index += 1) {
            if (!under.has(index)) {
                under.set(index, get(index));
            }
        }
        const index = next;
        next += 1;
        const bytes = await under.get(index);
        under.delete(index);
        await changed(buffer, () => buffer.appendBuffer(bytes));
        state.appended += 1;
        if (buffer.buffered.length > 0 && buffer.buffered.start(0) < video.currentTime - BEHIND) {
            await changed(buffer, () => buffer.remove(0, video.currentTime - BEHIND));
        }
    }
}

let streams = [];

function finish(media) {
    const all = streams.every((stream) => state[`ended${stream.itag}`]);
    const idle = Array.from(media.sourceBuffers).every((buffer) => !buffer.updating);
    if (all && idle && media.readyState === 'open') {
        media.endOfStream();
    }
}

function show(swarm) {
    const rows = [...swarm.peers.values()].filter((peer) => peer.state !== 'gone' || peer.bytes > 0).map((peer) => {
        const row = document.createElement('tr');
        const cells = [peer.uid, swarm.distrusted.has(peer.uid) ? 'distrusted' : peer.state, peer.segments, peer.bytes];
        for (const [at, text] of cells.entries()) {
            const cell = document.createElement('td');
            cell.textContent = typeof text === 'number' ? text.toLocaleString('en') : text;
            cell.className = at >= 2 ? 'number' : '';
            row.append(cell);
        }
        return row;
    });
    document.getElementById('peers').replaceChildren(...rows);
    if (state.error) {
        return note(state.error, true);
    }
    const open = swarm.open().length;
    note(`${open} ${open === 1 ? 'peer' : 'peers'}, ${state.appended} segments, ${state.verified} verified`
        + (state.unverified ? `, ${state.unverified} not verified` : '')
        + (state.wrong ? `, ${state.wrong} wrong` : ''), state.wrong > 0);
}

async function play() {
    const plan = await json(`/play/${vid}/streams.json`);
    document.getElementById('title').textContent = plan.title || vid;
    const chosen = new URLSearchParams(location.search);
    const pick = (kind, wish) => {
        const able = plan.streams.filter(({type}) => type.startsWith(kind) && MediaSource.isTypeSupported(type));
        return able.find(({itag}) => String(itag) === wish) ?? able[0];
    };
    streams = [pick('video/', chosen.get('v')), pick('audio/', chosen.get('a'))].filter(Boolean);
    if (streams.length === 0) {
        throw new Error('this browser plays none of the streams');
    }
    const here = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/uid/`;
    const swarm = new Swarm(plan.signal || here, plan.ice_servers);
    // For whoever looks from outside.
    globalThis.player = {swarm, state, video};
    setInterval(() => show(swarm), LOOK);
    const media = new MediaSource();
    video.src = URL.createObjectURL(media);
    await new Promise((resolve) => { media.addEventListener('sourceopen', resolve, {once: true}); });
    const duration = Number(plan.duration);
    if (duration > 0) {
        media.duration = duration;
    }
    video.play().catch(() => {});
    await Promise.all(streams.map((stream) => feed(swarm, media, stream, duration)));
}

play().catch((error) => {
    state.error = error.message;
    note(error.message, true);
});
