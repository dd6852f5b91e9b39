// A WHEP player that notes when the picture turns from dark to light, when a sound begins, and how far these are apart.
// The times are those of showing and playing, not of callbacks, so that a busy page measures as an idle one does.
globalThis.claps = async (url) => {
    const pc = new RTCPeerConnection();
    ['audio', 'video'].forEach((kind) => pc.addTransceiver(kind, {direction: 'recvonly'}));
    const video = document.createElement('video');
    [video.autoplay, video.srcObject] = [true, new MediaStream()];
    document.body.append(video);
    const flashes = [], beeps = [];
    // What the clock of sound is before that of the page: the least delay of many.
    let ahead = Infinity;
    const listen = async (track) => {
        const reader = new MediaStreamTrackProcessor({track}).readable.getReader();
        for (let quiet = 0, next = await reader.read(); !next.done; next = await reader.read()) {
            const {timestamp, sampleRate, numberOfFrames} = next.value;
            const samples = new Float32Array(numberOfFrames);
            next.value.copyTo(samples, {planeIndex: 0, format: 'f32-planar'});
            next.value.close();
            ahead = Math.min(ahead, performance.now() - timestamp / 1000);
            samples.forEach((sample, index) => {
                const loud = Math.abs(sample) > 0.1;
                if (loud && quiet > 0.3 * sampleRate) beeps.push(timestamp / 1000 + 1000 * index / sampleRate);
                quiet = loud ? 0 : quiet + 1;
            });
        }
    };
    pc.ontrack = ({track}) => {
        video.srcObject.addTrack(track);
        if (track.kind === 'audio') listen(track);
    };
    const pixel = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
    let [light, shown] = [true, 0];
    const look = (_now, {expectedDisplayTime, presentedFrames}) => {
        pixel.drawImage(video, 0, 0, 1, 1);
        const was = light;
        light = pixel.getImageData(0, 0, 1, 1).data[0] > 128;
        // After a picture that was missed it is not known when the light came.
        if (light && !was && presentedFrames === shown + 1) flashes.push(expectedDisplayTime);
        shown = presentedFrames;
        video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);
    await exchange(pc, url);
    const nearest = (flash) => beeps.map((beep) => beep + ahead - flash).sort((a, b) => Math.abs(a) - Math.abs(b))[0];
    const sound = async () => [...(await pc.getStats()).values()].find(({type, kind}) => type === 'inbound-rtp' && kind === 'audio');
    // By how many milliseconds each sound comes after its picture; the last flash may be before its beep. What sound waits
    // in the browser, also in milliseconds, once 2 s of it are played; and the packets that were thrown away.
    return async () => {
        const {packetsReceived, packetsDiscarded, jitterBufferDelay, jitterBufferEmittedCount} = await sound() ?? {};
        const waits = jitterBufferEmittedCount >= 2 * 48000 && 1000 * jitterBufferDelay / jitterBufferEmittedCount;
        return {apart: flashes.slice(0, -1).map((flash) => Math.round(nearest(flash))), packetsReceived, packetsDiscarded, waits};
    };
};
true
