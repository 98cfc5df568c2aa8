"""Lets the transport streams of two chunks follow each other as one stream.

Each chunk's packets are counted from 0, modulo 16, by kind (ISO/IEC 13818-1, 2.4.3.3). So each
chunk is made to end with 15: what is shown stays as it is, in up to fifteen packets more.
"""

from pathlib import Path

from gpu_worker.transport import PACKET_BYTES, SYNC_BYTE

HEADER_BYTES = 4
COUNTED = 16
STARTS, HAS_FIELD, HAS_PAYLOAD = 0x40, 0x20, 0x10
PES_PREFIX = b"\x00\x00\x01"


def close_counters(path: Path) -> None:
    """Add packets to a chunk's last segment until all counters stand at 15.

    Raises OSError; ValueError when it is no transport stream as ffmpeg writes them.
    """
    content = path.read_bytes()
    packets = [content[at : at + PACKET_BYTES] for at in range(0, len(content), PACKET_BYTES)]
    if not packets or any(len(p) != PACKET_BYTES or p[0] != SYNC_BYTE for p in packets):
        raise ValueError("it is not made of whole transport packets")
    for pid in sorted({_pid(packet) for packet in packets if packet[3] & HAS_PAYLOAD}):
        packets = _closed(packets, pid)
    path.write_bytes(b"".join(packets))


def _closed(packets: list[bytes], pid: int) -> list[bytes]:
    own = [n for n, p in enumerate(packets) if _pid(p) == pid and p[3] & HAS_PAYLOAD]
    missing = COUNTED - 1 - _counter(packets[own[-1]])
    if not missing:
        return packets
    starts = [packets[n] for n in own if packets[n][1] & STARTS]
    if not starts:
        raise ValueError(f"nothing begins in PID {pid}")
    if PES_PREFIX not in starts[-1][HEADER_BYTES:]:  # a table: it may be sent as often as one likes
        counter = _counter(packets[own[-1]])
        return [*packets, *(_counted(starts[-1], counter + n) for n in range(1, missing + 1))]
    full = next((n for n in reversed(own) if not packets[n][3] & HAS_FIELD), None)
    if full is None:
        raise ValueError(f"no packet in PID {pid} is full")
    later = {n: _counted(packets[n], _counter(packets[n]) + missing) for n in own if n > full}
    after = [later.get(n, packet) for n, packet in enumerate(packets) if n > full]
    return [*packets[:full], *_split(packets[full], missing + 1), *after]


def _split(packet: bytes, parts: int) -> list[bytes]:
    """A full packet as several that hold its payload between them, each filled up."""
    payload, counter = packet[HEADER_BYTES:], _counter(packet)
    each = -(-len(payload) // parts)
    pieces = [payload[at : at + each] for at in range(0, len(payload), each)]
    # Rounding up may leave fewer pieces than wanted: the first ones give what is missing.
    while len(pieces) < parts:
        longest = max(range(len(pieces)), key=lambda n: len(pieces[n]))
        half = len(pieces[longest]) // 2
        pieces[longest : longest + 1] = [pieces[longest][:half], pieces[longest][half:]]
    return [_filled(packet, piece, counter + n, first=n == 0) for n, piece in enumerate(pieces)]


def _filled(packet: bytes, piece: bytes, counter: int, *, first: bool) -> bytes:
    flags = packet[1] if first else packet[1] & ~STARTS
    field = PACKET_BYTES - HEADER_BYTES - 1 - len(piece)
    stuffing = b"\x00" + b"\xff" * (field - 1)
    head = bytes([SYNC_BYTE, flags, packet[2], packet[3] | HAS_FIELD, field])
    return _counted(head + stuffing + piece, counter)


def _counted(packet: bytes, counter: int) -> bytes:
    return packet[:3] + bytes([packet[3] & 0xF0 | counter % COUNTED]) + packet[HEADER_BYTES:]


def _pid(packet: bytes) -> int:
    return (packet[1] & 0x1F) << 8 | packet[2]


def _counter(packet: bytes) -> int:
    return packet[3] & 0x0F
