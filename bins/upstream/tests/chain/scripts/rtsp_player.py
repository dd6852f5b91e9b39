# A player: GStreamer's rtspsrc with decoders for all that it finds. Arguments: the URL, "tcp" or "udp", and how many
# pictures and sounds it decodes. It prints what it has decoded, or the fault.
import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst

Gst.init(None)
url, protocol, wanted = sys.argv[1], sys.argv[2], int(sys.argv[3])
pipeline = Gst.Pipeline.new()
source = Gst.ElementFactory.make("rtspsrc")
source.set_property("location", url)
source.set_property("protocols", protocol)
source.set_property("latency", 200)
pipeline.add(source)
loop = GLib.MainLoop()
decoded = {"video": 0, "audio": 0}
expected = set()


def counted(_sink, _buffer, _pad, kind):
    decoded[kind] += 1
    if expected == set(decoded) and min(decoded.values()) >= wanted:
        GLib.idle_add(loop.quit)


def on_decoded(_decoder, pad):
    kind = "video" if pad.get_current_caps().to_string().startswith("video") else "audio"
    expected.add(kind)
    sink = Gst.ElementFactory.make("fakesink")
    sink.set_property("sync", False)
    sink.set_property("signal-handoffs", True)
    sink.connect("handoff", counted, kind)
    pipeline.add(sink)
    sink.sync_state_with_parent()
    pad.link(sink.get_static_pad("sink"))


def on_source(_source, pad):
    decoder = Gst.ElementFactory.make("decodebin")
    decoder.connect("pad-added", on_decoded)
    pipeline.add(decoder)
    decoder.sync_state_with_parent()
    pad.link(decoder.get_static_pad("sink"))


def on_message(_bus, message):
    if message.type in (Gst.MessageType.ERROR, Gst.MessageType.WARNING):
        parse = message.parse_error if message.type == Gst.MessageType.ERROR else message.parse_warning
        print("fault: %s" % (parse(),), flush=True)
        loop.quit()
    elif message.type == Gst.MessageType.EOS:
        print("fault: the end", flush=True)
        loop.quit()


source.connect("pad-added", on_source)
bus = pipeline.get_bus()
bus.add_signal_watch()
bus.connect("message", on_message)
pipeline.set_state(Gst.State.PLAYING)
loop.run()
pipeline.set_state(Gst.State.NULL)
print("decoded %(video)d pictures and %(audio)d sounds" % decoded, flush=True)
# Whoever started this ends it.
GLib.MainLoop().run()
