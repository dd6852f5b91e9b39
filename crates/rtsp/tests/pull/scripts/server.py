# A camera: GStreamer's RTSP server on loopback. The first argument is what it sends, the second "open", "basic" or
# "digest", the third its port; without one, or with 0, it takes a free one. The fourth, "tcp" or "udp", is the only way in
# which it sends; "any" is both. The fifth is a file with a certificate and its key: then it is by TLS, and prints the
# certificate's fingerprint. It prints where it listens.
import hashlib
import ssl
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
gi.require_version("GstRtsp", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer

Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(sys.argv[3] if len(sys.argv) > 3 else "0")
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch("( " + sys.argv[1] + " )")
factory.set_shared(True)
if len(sys.argv) > 4 and sys.argv[4] != "any":
    ways = {"tcp": GstRtsp.RTSPLowerTrans.TCP, "udp": GstRtsp.RTSPLowerTrans.UDP}
    factory.set_protocols(ways[sys.argv[4]])
if sys.argv[2] != "open":
    auth = GstRtspServer.RTSPAuth()
    if sys.argv[2] == "basic":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
    else:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    if sys.argv[2] == "basic":
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic("admin", "p@ss"), token)
    else:
        auth.add_digest("admin", "p@ss", token)
    if len(sys.argv) > 5:
        auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(sys.argv[5]))
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("viewer", "media.factory.access", True)
    permissions.add_permission_for_role("viewer", "media.factory.construct", True)
    factory.set_permissions(permissions)
server.get_mount_points().add_factory("/main", factory)
server.attach(None)
scheme = "rtsps" if len(sys.argv) > 5 else "rtsp"
print("listening on %s://127.0.0.1:%d/main" % (scheme, server.get_bound_port()), flush=True)
if scheme == "rtsps":
    with open(sys.argv[5]) as file:
        text = file.read()
    end = "-----END CERTIFICATE-----"
    certificate = ssl.PEM_cert_to_DER_cert(text[: text.index(end) + len(end)])
    print("certificate %s" % hashlib.sha256(certificate).hexdigest(), flush=True)
GLib.MainLoop().run()
