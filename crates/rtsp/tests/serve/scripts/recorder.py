# GStreamer's RTSP server as one that others push to: it asks for a password, decodes what comes and says so.
import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
gi.require_version("GstRtsp", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer

Gst.init(None)
decoded = {"video": 0, "audio": 0}


def counted(_sink, _buffer, _pad, kind):
    decoded[kind] += 1
    if decoded["video"] >= 50 and decoded["audio"] >= 80:
        print("decoded 50 pictures and 80 sounds", flush=True)


class Factory(GstRtspServer.RTSPMediaFactory):
    def do_configure(self, media):
        for kind in decoded:
            sink = media.get_element().get_by_name(kind)
            sink.connect("handoff", counted, kind)
        media.connect("unprepared", lambda _media: print("the end", flush=True))
        GstRtspServer.RTSPMediaFactory.do_configure(self, media)


server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service("0")
factory = Factory()
sink = "fakesink sync=false async=false signal-handoffs=true name="
factory.set_launch(
    "( rtph264depay name=depay0 ! avdec_h264 ! " + sink + "video "
    "rtpmp4gdepay name=depay1 ! avdec_aac ! " + sink + "audio )"
)
factory.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
auth = GstRtspServer.RTSPAuth()
auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
token = GstRtspServer.RTSPToken()
token.set_string("media.factory.role", "publisher")
auth.add_digest("cam", "p@ss", token)
server.set_auth(auth)
permissions = GstRtspServer.RTSPPermissions()
permissions.add_permission_for_role("publisher", "media.factory.access", True)
permissions.add_permission_for_role("publisher", "media.factory.construct", True)
factory.set_permissions(permissions)
server.get_mount_points().add_factory("/record", factory)
server.attach(None)
print("listening on rtsp://cam:p%%40ss@127.0.0.1:%d/record" % server.get_bound_port(), flush=True)
GLib.MainLoop().run()
