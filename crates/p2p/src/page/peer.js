// One peer: its data channel, and further connections that carry chunks. See docs/protocols/chunk.md.

const HEADER = 30;
// Further connections that a node may open to carry chunks over a link that loses packets; how long we look
// for addresses of our own for one, and how long it may take to open.
const STRANDS = 31;
const ADDRESSES = 500;
const OPENING = 10000;

/** One peer: a connection and its channel. */
export class Peer {
    constructor(uid, swarm) {
        this.uid = uid;
        this.swarm = swarm;
        this.bytes = 0;
        this.segments = 0;
        this.ours = false;
        this.connection = new RTCPeerConnection({iceServers: swarm.iceServers});
        this.early = [];
        this.strands = new Map();
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
            this.say('hello', {v: 1, strands: STRANDS});
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
        } else if (event === 'offer') {
            this.strand(data?.strand, data?.sdp).catch(() => this.say('answer', {strand: data?.strand}));
        } else if (event === 'found' || event === 'error') {
            this.swarm.wanted.get(`${data?.id}|${data?.index}`)?.[event](this);
        }
    }

    /** Takes a further connection. All of it goes over the channel; the addresses stand in the descriptions. */
    async strand(number, sdp) {
        this.strands.get(number)?.close();
        this.strands.delete(number);
        if (!Number.isInteger(number) || this.strands.size >= STRANDS) {
            throw new Error('no room');
        }
        const connection = new RTCPeerConnection({iceServers: this.swarm.iceServers});
        this.strands.set(number, connection);
        const over = () => {
            connection.close();
            if (this.strands.get(number) === connection) {
                this.strands.delete(number);
            }
        };
        const opening = setTimeout(over, OPENING);
        connection.onconnectionstatechange = () => {
            if (['failed', 'closed'].includes(connection.connectionState)) {
                over();
            }
        };
        connection.ondatachannel = ({channel}) => {
            clearTimeout(opening);
            channel.binaryType = 'arraybuffer';
            channel.onclose = over;
            channel.onmessage = ({data}) => typeof data !== 'string' && this.chunk(data);
        };
        try {
            await connection.setRemoteDescription({type: 'offer', sdp});
            await connection.setLocalDescription();
            await new Promise((resolve) => {
                setTimeout(resolve, ADDRESSES);
                connection.onicegatheringstatechange = () => connection.iceGatheringState === 'complete' && resolve();
                connection.onicegatheringstatechange();
            });
        } catch (error) {
            over();
            throw error;
        }
        this.say('answer', {strand: number, sdp: connection.localDescription.sdp});
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
            [this.connection, ...this.strands.values()].forEach((connection) => connection.close());
            this.strands.clear();
            this.swarm.gone(this);
        }
    }
}
