"""Reads just enough of a transport stream to say which H.264 is in it.

Sources: ISO/IEC 13818-1, 2.4.3 (packets, PES); ITU-T H.264, 7.3.1 and 7.3.2.1.1 (NAL units, SPS);
RFC 6381, 3.3 (the codecs parameter).
"""

from dataclasses import dataclass

PACKET_BYTES = 188
SYNC_BYTE = 0x47
VIDEO_STREAM_IDS = range(0xE0, 0xF0)
NAL_SLICE, NAL_IDR, NAL_SPS = 1, 5, 7
AAC_LC = "mp4a.40.2"


@dataclass(frozen=True)
class Avc:
    """Profile, constraint flags and level of an H.264 stream; level 40 means 4.0."""

    profile: int
    constraints: int
    level: int

    @property
    def codecs(self) -> str:
        """`avc1.PPCCLL`."""
        return f"avc1.{self.profile:02x}{self.constraints:02x}{self.level:02x}"


def read_avc(segment: bytes) -> Avc:
    """The first SPS of a transport stream segment. Raises ValueError when there is none."""
    for nal in nal_units(segment):
        if nal[0] & 0x1F == NAL_SPS and len(nal) >= 4:
            return Avc(profile=nal[1], constraints=nal[2], level=nal[3])
    raise ValueError("the segment has no H.264 sequence parameter set")


def begins_with_idr(segment: bytes) -> bool:
    """Whether the first picture of a transport stream segment is an IDR."""
    kinds = (nal[0] & 0x1F for nal in nal_units(segment))
    return next((kind for kind in kinds if kind in {NAL_SLICE, NAL_IDR}), None) == NAL_IDR


def nal_units(segment: bytes) -> list[bytes]:
    """The NAL units of the first picture, headers included, start codes not."""
    pieces = first_pes_payload(segment).split(b"\x00\x00\x01")[1:]
    return [piece for piece in pieces if piece]


def first_pes_payload(segment: bytes) -> bytes:
    """The elementary stream bytes of the first video PES packet. ValueError without one."""
    wanted: int | None = None
    payload = bytearray()
    for start in range(0, len(segment) - PACKET_BYTES + 1, PACKET_BYTES):
        packet = segment[start : start + PACKET_BYTES]
        pid, begins, body = _packet(packet)
        if begins and pid == wanted:
            break
        if begins and wanted is None and body[:3] == b"\x00\x00\x01":
            wanted = pid if body[3] in VIDEO_STREAM_IDS else None
            body = body[9 + body[8] :]
        if pid == wanted:
            payload += body
    if wanted is None:
        raise ValueError("the segment has no video")
    return bytes(payload)


def _packet(packet: bytes) -> tuple[int, bool, bytes]:
    """PID, whether a unit begins in it, and its payload."""
    if packet[0] != SYNC_BYTE:
        raise ValueError("the segment is not a transport stream")
    pid = (packet[1] & 0x1F) << 8 | packet[2]
    begins = bool(packet[1] & 0x40)
    control = packet[3] >> 4 & 3
    start = 5 + packet[4] if control & 2 else 4
    return pid, begins, packet[start:] if control & 1 else b""
