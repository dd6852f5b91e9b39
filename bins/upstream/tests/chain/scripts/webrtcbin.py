"""GStreamer's webrtcbin as a WHEP player or a WHIP publisher.

webrtcbin.py play URL FRAMES [H264|H265]: ends well when so many pictures and packets of sound are decoded, and says what
    became of the packets of each.
webrtcbin.py claps URL SECONDS: says when the picture turns from dark to light and when a sound begins.
webrtcbin.py publish URL: VP8 and Opus, until it is killed.
webrtcbin.py video URL: H.264 alone, offered without a bundle as webrtcbin does unless it is told otherwise.
"""
import array
import json
import sys
import urllib.request

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC

Gst.init(None)
action, url = sys.argv[1:3]
loop = GLib.MainLoop()
# What Python drops is gone for GStreamer too.
kept, counts, buffers = [], {"video": 0, "audio": 0}, []


def count(_pad, _info, kind, wanted):
    counts[kind] += 1
    if all(number >= wanted for number in counts.values()):
        print("decoded", counts, flush=True)
        loop.quit()
    return Gst.PadProbeReturn.OK


def buffered(rtpbin, buffer, session, _source):
    # Requests are a part of what a session is said to receive, 64 kbit/s; without this one in two has to wait until it is
    # too late (RFC 4585 section 3.5.2).
    rtpbin.emit("get-internal-session", session).set_property("bandwidth", 4e6)
    # Its own guesses are for packets that come evenly: of pictures in bursts it asks for what is on its way, and for what
    # is lost once in 350 ms.
    buffer.set_property("rtx-delay", 60)
    buffer.set_property("rtx-retry-timeout", 80)
    buffers.append(buffer)


def tell_packets():
    names = {"pushed": "num-pushed", "lost": "num-lost", "asked": "rtx-count", "repeated": "rtx-success-count"}
    for buffer in buffers:
        stats = buffer.get_property("stats")
        print("packets", json.dumps({key: stats.get_value(name) for key, name in names.items()}), flush=True)


# When it became as it is, whether that is light or sound, and when that was known first.
state = {}
# The sender's clock before that of the pipeline, in nanoseconds.
ahead = {}
NTP = Gst.Caps.from_string("timestamp/x-ntp")


def clap(kind, at, loud):
    """Tells the end of 0.3 s of darkness or silence, in the words of ffmpeg's filters."""
    since, was_loud, first = state.setdefault(kind, (at, True, at))
    if loud and not was_loud and at - since >= 0.3:
        # In one piece: another thread may say the same moment.
        sys.stdout.write("%s:%f\n" % ({"video": "black_end", "audio": "silence_end"}[kind], at - 3.9e9))
        sys.stdout.flush()
    if loud != was_loud:
        state[kind] = (at, loud, first)


def measure(_pad, info, kind, seconds):
    buffer = info.get_buffer()
    # The sender's clock, which its reports tell: how long packets took, and when they are shown, is no matter. Some
    # buffers lose it on their way, often key pictures; these are as far from it as the one before.
    reference = buffer.get_reference_timestamp_meta(NTP)
    if reference is not None:
        ahead[kind] = reference.timestamp - buffer.pts
    elif kind not in ahead:
        return Gst.PadProbeReturn.OK
    at = (buffer.pts + ahead[kind]) / Gst.SECOND
    data = buffer.extract_dup(0, buffer.get_size())
    if kind == "video":
        clap(kind, at, sum(data) > 128 * len(data))
    else:
        # Windows of 1 ms.
        samples = array.array("h", data)
        for start in range(0, len(samples), 48):
            clap(kind, at + start / 48000, max(samples[start : start + 48]) > 1843)
    counts[kind] = at - state[kind][2]
    if min(counts.values()) >= seconds:
        loop.quit()
    return Gst.PadProbeReturn.OK


RAW = {
    "video": "videoconvert ! videoscale ! video/x-raw,format=GRAY8,width=16,height=16 ! fakesink name=sink sync=false",
    "audio": "audioconvert ! audio/x-raw,format=S16LE,channels=1,rate=48000 ! fakesink name=sink sync=false",
}


def measured(pad, pipeline, kind, seconds):
    raw = Gst.parse_bin_from_description(RAW[kind], True)
    pipeline.add(raw)
    raw.sync_state_with_parent()
    pad.link(raw.get_static_pad("sink"))
    raw.get_by_name("sink").get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, measure, kind, seconds)


def decoded(_element, pad, pipeline, wanted):
    kind = pad.get_current_caps().get_structure(0).get_name().split("/")[0]
    if action == "claps":
        return measured(pad, pipeline, kind, wanted)
    sink = Gst.ElementFactory.make("fakesink")
    pipeline.add(sink)
    sink.sync_state_with_parent()
    pad.link(sink.get_static_pad("sink"))
    pad.add_probe(Gst.PadProbeType.BUFFER, count, kind, wanted)


def arrived(_element, pad, pipeline, wanted):
    # The session is set up.
    print("plays", flush=True)
    decoder = Gst.ElementFactory.make("decodebin")
    decoder.connect("pad-added", decoded, pipeline, wanted)
    pipeline.add(decoder)
    decoder.sync_state_with_parent()
    pad.link(decoder.get_static_pad("sink"))


def exchange(peer):
    offer = peer.get_property("local-description").sdp.as_text()
    request = urllib.request.Request(url, offer.encode(), {"Content-Type": "application/sdp"})
    answer = urllib.request.urlopen(request, timeout=20).read().decode()
    _, message = GstSdp.SDPMessage.new_from_text(answer)
    description = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, message)
    peer.emit("set-remote-description", description, Gst.Promise.new())
    return False


def gathering(peer, _property):
    if peer.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
        GLib.idle_add(exchange, peer)


def offered(promise, peer):
    promise.wait()
    reply = promise.get_reply()
    offer = reply.get_value("offer")
    kept.extend([promise, reply, offer])
    peer.emit("set-local-description", offer, Gst.Promise.new())


def negotiate(peer):
    peer.emit("create-offer", None, Gst.Promise.new_with_change_func(offered, peer))


def caps(media, encoding, rate, number):
    return Gst.Caps.from_string(
        f"application/x-rtp,media={media},encoding-name={encoding},clock-rate={rate},payload={number}"
    )


if action == "video":
    pipeline = Gst.parse_launch(
        "webrtcbin name=peer videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=25/1 ! "
        "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 ! video/x-h264,profile=constrained-baseline ! "
        "rtph264pay pt=96 ! application/x-rtp,media=video,encoding-name=H264,payload=96 ! peer."
    )
    peer = pipeline.get_by_name("peer")
elif action == "publish":
    pipeline = Gst.parse_launch(
        "webrtcbin name=peer bundle-policy=max-bundle "
        "videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=25/1 ! "
        "vp8enc deadline=1 keyframe-max-dist=1000 ! rtpvp8pay pt=96 ! application/x-rtp,media=video,encoding-name=VP8,payload=96 ! peer. "
        "audiotestsrc is-live=true ! audioconvert ! opusenc ! rtpopuspay pt=97 ! "
        "application/x-rtp,media=audio,encoding-name=OPUS,payload=97 ! peer."
    )
    peer = pipeline.get_by_name("peer")
else:
    pipeline = Gst.Pipeline.new(None)
    peer = Gst.ElementFactory.make("webrtcbin")
    peer.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
    peer.get_by_name("rtpbin").set_property("add-reference-timestamp-meta", True)
    peer.get_by_name("rtpbin").connect("new-jitterbuffer", buffered)
    # Time for several requests, also on a busy machine.
    peer.set_property("latency", 1000)
    pipeline.add(peer)
    receive = GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY
    for format in (caps("video", (sys.argv + ["H264"])[4], 90000, 96), caps("audio", "OPUS", 48000, 97)):
        # Without it webrtcbin's offer has neither requests for lost packets nor RTX. In a bundle it asks for what is lost
        # of all tracks or of none, by its last transceiver.
        peer.emit("add-transceiver", receive, format).set_property("do-nack", True)
    peer.connect("pad-added", arrived, pipeline, int(sys.argv[3]))
peer.connect("notify::ice-gathering-state", gathering)
peer.connect("on-negotiation-needed", negotiate)
pipeline.set_state(Gst.State.PLAYING)
loop.run()
tell_packets()
pipeline.set_state(Gst.State.NULL)
