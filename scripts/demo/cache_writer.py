#!/usr/bin/env python3
"""Writes to a Redis server and keeps a durable ledger of what the server acknowledged.

    cache_writer.py SOCKET LEDGER

Each transaction raises `app:seq` by one and notes the number in a list and in a hash; it
counts as acknowledged when WAIT says that a replica has it. Lines of the ledger, each
durable before the next transaction:

    commit cache SEQ BEGUN ACKNOWLEDGED    times in microseconds since 1970

Ends at SIGTERM with status 0, and with 1 when the server is gone.
"""
import os
import signal
import socket
import sys
import time


class Server:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.replies = self.socket.makefile("rb")

    def send(self, *commands):
        text = b""
        for words in commands:
            text += b"*%d\r\n" % len(words)
            for word in words:
                text += b"$%d\r\n%s\r\n" % (len(word), word.encode())
        self.socket.sendall(text)
        return [self.reply() for _ in commands]

    def reply(self):
        line = self.replies.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server is gone")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RuntimeError(rest.decode(errors="replace"))
        if kind == b"*":
            return [self.reply() for _ in range(int(rest))]
        if kind == b"$":
            return self.replies.read(int(rest) + 2)[:-2] if int(rest) >= 0 else None
        return int(rest) if kind == b":" else rest


def now_us():
    return time.time_ns() // 1000


def write_one(server, ledger):
    begun = now_us()
    seq = server.send(["INCR", "app:next"])[0]
    server.send(["MULTI"], ["SET", "app:seq", str(seq)], ["RPUSH", "app:all", str(seq)],
                ["HSET", f"app:bucket:{seq % 100}", str(seq), "x" * 40], ["EXEC"])
    if server.send(["WAIT", "1", "2000"])[0] < 1:
        return
    os.write(ledger, f"commit cache {seq} {begun} {now_us()}\n".encode())
    os.fdatasync(ledger)


def main():
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    server = Server(sys.argv[1])
    ledger = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        while not stopped:
            write_one(server, ledger)
    except (ConnectionError, RuntimeError) as error:
        print(f"cache: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
