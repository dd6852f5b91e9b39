// Peers: signalling, data channels, and segments put together from chunks. See docs/protocols/chunk.md.

const HEADER = 30;
const CHUNK = 51200;
// How long other peers may say that they have a segment too, once one has; then the one that gave least sends it.
const GATHER = 20;
// How long a sender may be silent: one of ours until we ask for what is missing, an existing one until we ask another.
const STALL = 1500;
const OLD_STALL = 3000;
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

/** One peer: a connection and its channel. */
class Peer {
    constructor(uid, swarm) {
        this.uid = uid;
        this.swarm = swarm;
        this.bytes = 0;
        this.segments = 0;
        this.ours = false;
        this.connection = new RTCPeerConnection();
        this.early = [];
        this.connection.onicecandidate = ({candidate}) => {
            if (candidate?.candidate) {
                swarm.signal('candidate', uid, candidate.toJSON());
            }
        };
        this.connection.onconnectionstatechange = () => {
            if (['failed', 'closed'].includes(this.connection.connectionState)) {
                this.close();
            }
        };
        this.connection.ondatachannel = ({channel}) => this.use(channel);
    }

    get state() {
        return this.channel?.readyState === 'open' ? 'connected' : this.closed ? 'gone' : 'connecting';
    }

    /** Segments that it is sending. */
    get busy() {
        return [...this.swarm.wanted.values()].filter((wanted) => wanted.source === this).length;
    }

    use(channel) {
        this.channel = channel;
        channel.binaryType = 'arraybuffer';
        const open = () => {
            this.say('hello', {v: 1});
            this.swarm.opened(this);
        };
        channel.onopen = open;
        channel.onclose = () => this.close();
        channel.onmessage = ({data}) => typeof data === 'string' ? this.text(data) : this.chunk(data);
        if (channel.readyState === 'open') {
            open();
        }
    }

    async offer() {
        this.use(this.connection.createDataChannel('dc'));
        await this.connection.setLocalDescription();
        this.swarm.signal('offer', this.uid, this.connection.localDescription.toJSON());
    }

    async answer(offer) {
        await this.connection.setRemoteDescription({type: 'offer', sdp: offer.sdp});
        await this.connection.setLocalDescription();
        this.swarm.signal('answer', this.uid, this.connection.localDescription.toJSON());
        this.late();
    }

    async accept(answer) {
        await this.connection.setRemoteDescription({type: 'answer', sdp: answer.sdp});
        this.late();
    }

    /** Takes the candidates that came before the description. */
    late() {
        this.described = true;
        this.early.splice(0).forEach((candidate) => this.candidate(candidate));
    }

    candidate(candidate) {
        if (this.described) {
            this.connection.addIceCandidate(candidate).catch(() => {});
        } else if (this.early.length < 64) {
            this.early.push(candidate);
        }
    }

    say(event, data) {
        if (this.channel?.readyState === 'open') {
            this.channel.send(JSON.stringify(data ? {event, data} : {event}));
        }
    }

    text(text) {
        let message;
        try {
            message = JSON.parse(text);
        } catch {
            return;
        }
        const {event, data} = message ?? {};
        if (event === 'ping') {
            this.say('pong');
        } else if (event === 'hello') {
            this.ours = true;
        } else if (event === 'found' || event === 'error') {
            this.swarm.wanted.get(`${data?.id}|${data?.index}`)?.[event](this);
        }
    }

    chunk(buffer) {
        this.bytes += buffer.byteLength;
        let header;
        try {
            header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 0, HEADER)));
        } catch {
            return;
        }
        const [name, number, total] = header;
        this.swarm.wanted.get(name)?.chunk(this, number, total, new Uint8Array(buffer, HEADER));
    }

    close() {
        if (!this.closed) {
            this.closed = true;
            this.connection.close();
            this.swarm.gone(this);
        }
    }
}

/** One segment on its way. */
class Wanted {
    constructor(swarm, id, index) {
        Object.assign(this, {swarm, id, index, finders: new Set(), refused: new Set(), parts: [], left: -1});
        this.done = new Promise((resolve) => { this.resolve = resolve; });
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
        if (this.source || this.refused.has(peer)) {
            return;
        }
        this.finders.add(peer);
        if (this.finders.size === 1) {
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
        this.source = best;
        const missing = this.missing();
        if (best.ours && missing.length > 0) {
            best.say('resend', {...this.about, chunks: missing});
        } else {
            best.say('resolve', this.about);
        }
        this.wait(OLD_STALL, this.stalled);
    }

    missing() {
        return this.left < 0 ? [] : [...this.parts.keys()].filter((number) => !this.parts[number]);
    }

    stalled() {
        const missing = this.missing();
        if (this.source?.ours && missing.length > 0 && !this.resent) {
            this.resent = true;
            this.source.say('resend', {...this.about, chunks: missing});
            return this.wait(STALL, this.stalled);
        }
        this.source?.say('quit', this.about);
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
        if (peer !== this.source || !fits || (this.left >= 0 && this.parts.length !== total)) {
            return;
        }
        if (this.left < 0) {
            this.parts = Array.from({length: total});
            this.left = total;
        }
        if (!this.parts[number]) {
            this.parts[number] = payload;
            this.left -= 1;
        }
        this.resent = false;
        if (this.left > 0) {
            return this.wait(peer.ours ? STALL : OLD_STALL, this.stalled);
        }
        clearTimeout(this.timer);
        this.resolve({peer, bytes: new Uint8Array(this.parts.reduce((sum, part) => sum + part.length, 0))});
    }

    async whole() {
        const {peer, bytes} = await this.done;
        let at = 0;
        for (const part of this.parts) {
            bytes.set(part, at);
            at += part.length;
        }
        return {peer, bytes};
    }

    /** Begins anew without the peer that has sent wrong bytes. */
    again() {
        Object.assign(this, {parts: [], left: -1, finders: new Set(), source: undefined});
        this.done = new Promise((resolve) => { this.resolve = resolve; });
    }
}

/** All peers that a signalling server knows. */
export class Swarm {
    constructor(server) {
        this.server = server;
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
            if (!wanted.source) {
                peer.say('query', wanted.about);
            }
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
            const {peer, bytes} = await wanted.whole();
            if (await verify(bytes)) {
                peer.segments += 1;
                this.wanted.delete(`${id}|${index}`);
                return bytes;
            }
            this.distrusted.add(peer.uid);
            wanted.again();
        }
    }
}
