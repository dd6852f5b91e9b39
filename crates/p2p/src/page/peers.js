// Peers: signalling, and segments put together from chunks. See docs/protocols/chunk.md.

import {Peer} from './peer.js';

const CHUNK = 51200;
// How long other peers may say that they have a segment too, once one has; then the one that gave least sends it.
const GATHER = 20;
// How long a sender may be silent until another is asked, one of ours and an existing one; and where there is no other,
// until it is asked for what is missing, then as long again. On a lossy link SCTP is silent for 1, 2, 4 s.
const SWITCH = 2000;
const OLD_SWITCH = 3000;
const RESEND = 5000;
const ASKS = 5;
// How long nobody may have a segment before all are asked again.
const AGAIN = 2000;
const RECONNECT = 1000;

/** A name among peers, kept for the life of the tab. */
function ownUid() {
    let uid = sessionStorage.getItem('uid');
    if (!/^[\w-]{36}$/.test(uid ?? '')) {
        const letters = 'abcdefghijklmnopqrstuvwxyz0123456789';
        const random = crypto.getRandomValues(new Uint8Array(36));
        uid = Array.from(random, (byte, at) => [8, 13, 18, 23].includes(at) ? '-' : letters[byte % 36]).join('');
        sessionStorage.setItem('uid', uid);
    }
    return uid;
}

/** One segment on its way. */
class Wanted {
    constructor(swarm, id, index) {
        Object.assign(this, {swarm, id, index, refused: new Set(), alone: false});
        this.again();
    }

    /** Throws away what has come. */
    reset() {
        Object.assign(this, {parts: [], left: -1, givers: new Set()});
    }

    get about() {
        return {id: this.id, index: this.index};
    }

    wait(time, then) {
        clearTimeout(this.timer);
        this.timer = setTimeout(() => then.call(this), time);
    }

    ask() {
        this.source = undefined;
        this.refused.clear();
        this.swarm.open().forEach((peer) => peer.say('query', this.about));
        this.wait(AGAIN, this.ask);
    }

    found(peer) {
        if (this.refused.has(peer)) {
            return;
        }
        this.finders.add(peer);
        if (!this.source && this.finders.size === 1) {
            this.wait(GATHER, this.choose);
        }
    }

    choose() {
        const able = [...this.finders].filter((peer) => peer.state === 'connected' && !this.refused.has(peer));
        const [best] = able.sort((one, other) => one.busy - other.busy || one.bytes - other.bytes);
        if (!best) {
            this.finders.clear();
            return this.ask();
        }
        if (this.alone) {
            this.reset();
        }
        this.source = best;
        this.asks = 0;
        this.request();
    }

    /** Asks the sender for the segment, or for what is missing of it. */
    request() {
        this.asks += 1;
        const missing = this.missing();
        if (this.source.ours && missing.length > 0) {
            this.source.say('resend', {...this.about, chunks: missing});
        } else {
            this.source.say('resolve', this.about);
        }
        this.patience();
    }

    others() {
        return [...this.finders].filter((peer) => peer !== this.source && peer.state === 'connected');
    }

    patience() {
        this.silent = 0;
        this.wait(this.source.ours ? SWITCH : OLD_SWITCH, this.stalled);
    }

    missing() {
        return this.left < 0 ? [] : [...this.parts.keys()].filter((number) => !this.parts[number]);
    }

    stalled() {
        this.silent += this.source.ours ? SWITCH : OLD_SWITCH;
        if (this.others().length === 0 && this.asks < ASKS) {
            // Somebody may have it by now, or have come by now.
            this.swarm.open().filter((peer) => peer !== this.source).forEach((peer) => peer.say('query', this.about));
            return this.silent < RESEND ? this.wait(SWITCH, this.stalled) : this.request();
        }
        this.source.say('quit', this.about);
        this.error(this.source);
    }

    error(peer) {
        this.refused.add(peer);
        this.finders.delete(peer);
        if (this.source === peer) {
            this.source = undefined;
            this.choose();
        }
    }

    chunk(peer, number, total, payload) {
        const last = number === total - 1;
        const fits = Number.isInteger(number) && number >= 0 && number < total && total <= 2000
            && (last ? payload.length > 0 && payload.length <= CHUNK : payload.length === CHUNK);
        if (peer !== this.source || !fits) {
            return;
        }
        if (this.parts.length !== total) {
            this.reset();
            this.parts = Array.from({length: total});
            this.left = total;
        }
        if (!this.parts[number]) {
            this.parts[number] = payload;
            this.left -= 1;
            this.givers.add(peer);
        }
        if (this.left > 0) {
            this.asks = 1;
            return this.patience();
        }
        clearTimeout(this.timer);
        const bytes = new Uint8Array(this.parts.reduce((sum, part) => sum + part.length, 0));
        this.parts.reduce((at, part) => {
            bytes.set(part, at);
            return at + part.length;
        }, 0);
        this.resolve({givers: [...this.givers], bytes});
    }

    /** Begins anew. */
    again() {
        this.reset();
        Object.assign(this, {finders: new Set(), source: undefined});
        this.done = new Promise((resolve) => { this.resolve = resolve; });
    }
}

/** All peers that a signalling server knows. */
export class Swarm {
    constructor(server, iceServers) {
        Object.assign(this, {server, iceServers});
        this.uid = ownUid();
        this.peers = new Map();
        this.wanted = new Map();
        this.distrusted = new Set();
        this.connect();
    }

    connect() {
        this.socket = new WebSocket(this.server + this.uid);
        this.socket.onopen = () => this.socket.send('{"event":"hello"}');
        this.socket.onmessage = ({data}) => this.hear(data);
        this.socket.onclose = () => setTimeout(() => this.connect(), RECONNECT);
    }

    signal(event, to, data) {
        if (this.socket.readyState === WebSocket.OPEN) {
            this.socket.send(JSON.stringify({event, from: this.uid, to, data}));
        }
    }

    open() {
        return [...this.peers.values()].filter((peer) => peer.state === 'connected' && !this.distrusted.has(peer.uid));
    }

    fresh(uid) {
        this.peers.get(uid)?.close();
        const peer = new Peer(uid, this);
        const earlier = this.peers.get(uid);
        Object.assign(peer, {bytes: earlier?.bytes ?? 0, segments: earlier?.segments ?? 0});
        this.peers.set(uid, peer);
        return peer;
    }

    async hear(text) {
        let message;
        try {
            message = JSON.parse(typeof text === 'string' ? text : await text.text());
        } catch {
            return;
        }
        const {event, from, to, id, data} = message;
        if (event === 'online' && id !== this.uid && this.peers.get(id)?.state !== 'connected') {
            await this.fresh(id).offer();
        }
        if (to !== this.uid || !from || from === this.uid) {
            return;
        }
        const known = this.peers.get(from);
        try {
            if (event === 'offer') {
                await this.fresh(from).answer(data);
            } else if (event === 'answer') {
                await known?.accept(data);
            } else if (event === 'candidate') {
                known?.candidate(data);
            }
        } catch (error) {
            console.warn(event, error);
        }
    }

    opened(peer) {
        for (const wanted of this.wanted.values()) {
            peer.say('query', wanted.about);
        }
    }

    gone(peer) {
        for (const wanted of this.wanted.values()) {
            wanted.error(peer);
        }
    }

    /** Gets a segment; `verify` tells whether its bytes are right. */
    async segment(id, index, verify) {
        const wanted = new Wanted(this, id, index);
        this.wanted.set(`${id}|${index}`, wanted);
        for (;;) {
            wanted.ask();
            const {givers, bytes} = await wanted.done;
            if (await verify(bytes)) {
                givers.forEach((peer) => { peer.segments += 1; });
                this.wanted.delete(`${id}|${index}`);
                return bytes;
            }
            // Of several nobody knows who was wrong: the next try takes all from one.
            if (givers.length === 1) {
                this.distrusted.add(givers[0].uid);
            }
            wanted.alone = true;
            wanted.again();
        }
    }
}
