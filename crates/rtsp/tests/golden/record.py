# Records one TCP connection that goes through it: record.py LISTEN_PORT HOST PORT FILE. A record is C (client) or S
# (server), milliseconds since the first byte (4 bytes), length (4 bytes, both big endian), and the bytes.
import selectors
import socket
import struct
import sys
import time

listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listening on 127.0.0.1:%d" % listener.getsockname()[1], flush=True)
client, _ = listener.accept()
server = socket.create_connection((sys.argv[2], int(sys.argv[3])))
selector = selectors.DefaultSelector()
selector.register(client, selectors.EVENT_READ, (b"C", server))
selector.register(server, selectors.EVENT_READ, (b"S", client))
start = None
with open(sys.argv[4], "wb") as out:
    while True:
        for key, _ in selector.select():
            try:
                data = key.fileobj.recv(65536)
            except ConnectionError:
                data = b""
            if not data:
                sys.exit(0)
            start = start or time.monotonic()
            side, other = key.data
            out.write(struct.pack(">cII", side, int((time.monotonic() - start) * 1000), len(data)) + data)
            out.flush()
            other.sendall(data)
