/** A zip's members, read one by one from a Blob (APPNOTE.TXT: 4.3.7, 4.3.12, 4.3.14 to 16). */

import { decode, raw } from "./bytes.js";

/** The file is no bundle, or one of which a member cannot be read. */
export class Unreadable extends Error {}

const END = 0x06054b50;
const END_64 = 0x06064b50;
const LOCATOR_64 = 0x07064b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const MAX_COMMENT = 0xffff;
const MAX_MEMBER_BYTES = 256 * 1024 * 1024;
const STORED = 0;
const DEFLATED = 8;

const view = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const u16 = (data, at) => data.getUint16(at, true);
const u32 = (data, at) => data.getUint32(at, true);
const u64 = (data, at) => Number(data.getBigUint64(at, true));

async function slice(blob, begin, length) {
  if (begin < 0 || begin + length > blob.size) throw new Unreadable("the archive ends too early");
  return new Uint8Array(await blob.slice(begin, begin + length).arrayBuffer());
}

/** Opens `blob`; `Unreadable` if it is no zip. */
export async function openZip(blob) {
  const { count, size, begin } = await directory(blob);
  const bytes = await slice(blob, begin, size);
  const members = new Map();
  let at = 0;
  try {
    for (let number = 0; number < count; number += 1) {
      const member = entry(bytes, at);
      members.set(member.name, member);
      at = member.next;
    }
  } catch (error) {
    throw error instanceof Unreadable ? error : new Unreadable("the archive's directory is damaged");
  }
  return new Zip(blob, members);
}

async function directory(blob) {
  const length = Math.min(blob.size, MAX_COMMENT + 22);
  const tail = await slice(blob, blob.size - length, length);
  const data = view(tail);
  for (let at = length - 22; at >= 0; at -= 1) {
    if (u32(data, at) !== END) continue;
    const short = { count: u16(data, at + 10), size: u32(data, at + 12), begin: u32(data, at + 16) };
    const isLong = short.count === 0xffff || short.size === 0xffffffff || short.begin === 0xffffffff;
    return isLong ? longDirectory(blob, data, at) : short;
  }
  throw new Unreadable("the file is not a zip");
}

async function longDirectory(blob, tail, end) {
  if (end < 20 || u32(tail, end - 20) !== LOCATOR_64) throw new Unreadable("the archive's directory is not where it says");
  const data = view(await slice(blob, u64(tail, end - 12), 56));
  if (u32(data, 0) !== END_64) throw new Unreadable("the archive's directory is not where it says");
  return { count: u64(data, 32), size: u64(data, 40), begin: u64(data, 48) };
}

function entry(bytes, at) {
  const data = view(bytes);
  if (u32(data, at) !== CENTRAL) throw new Unreadable("the archive's directory is damaged");
  const [names, extras, comment] = [u16(data, at + 28), u16(data, at + 30), u16(data, at + 32)];
  const member = {
    name: raw(bytes.subarray(at + 46, at + 46 + names)),
    method: u16(data, at + 10),
    crc: u32(data, at + 16),
    packed: u32(data, at + 20),
    size: u32(data, at + 24),
    begin: u32(data, at + 42),
    next: at + 46 + names + extras + comment,
  };
  return widened(member, view(bytes.subarray(at + 46 + names, at + 46 + names + extras)));
}

/** With the sizes of the ZIP64 extra field (4.5.3), which stand there only where they are too large. */
function widened(member, extra) {
  for (let at = 0; at + 4 <= extra.byteLength; at += 4 + u16(extra, at + 2)) {
    if (u16(extra, at) !== 1) continue;
    let place = at + 4;
    for (const name of ["size", "packed", "begin"]) {
      if (member[name] !== 0xffffffff) continue;
      member[name] = u64(extra, place);
      place += 8;
    }
  }
  return member;
}

class Zip {
  constructor(blob, members) {
    this.blob = blob;
    this.members = members;
  }

  /** A member as a whole; `Unreadable` where it is missing or damaged. */
  async read(name) {
    const member = this.members.get(name);
    if (!member) throw new Unreadable(`it has no ${name}`);
    if (member.size > MAX_MEMBER_BYTES) throw new Unreadable(`${name} is larger than ${MAX_MEMBER_BYTES} bytes`);
    const header = await slice(this.blob, member.begin, 30);
    const data = view(header);
    if (u32(data, 0) !== LOCAL) throw new Unreadable(`${name} does not begin where it should`);
    const begin = member.begin + 30 + u16(data, 26) + u16(data, 28);
    const called = raw(await slice(this.blob, member.begin + 30, u16(data, 26)));
    if (called !== name) throw new Unreadable(`${name} is called ${called} at its place`);
    const plain = await unpacked(await slice(this.blob, begin, member.packed), member);
    if (plain.length !== member.size || crc32(plain) !== member.crc) throw new Unreadable(`the checksum of ${name} is wrong`);
    return plain;
  }

  async text(name) {
    try {
      return decode(await this.read(name));
    } catch (error) {
      throw error instanceof TypeError ? new Unreadable(`${name} is not UTF-8`) : error;
    }
  }
}

async function unpacked(bytes, { name, method }) {
  if (method === STORED) return bytes;
  if (method !== DEFLATED) throw new Unreadable(`${name} is packed in a way that is not read here`);
  try {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch {
    throw new Unreadable(`${name} cannot be unpacked`);
  }
}

const CRC = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

function crc32(bytes) {
  let value = 0xffffffff;
  for (let at = 0; at < bytes.length; at += 1) value = CRC[(value ^ bytes[at]) & 0xff] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}
