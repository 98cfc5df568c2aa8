/** Bytes: hexadecimal, Base64 as RFC 4648 writes it, SHA-256, comparison. */

export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

export const encode = (text) => new TextEncoder().encode(text);

/** Text of bytes that are UTF-8; throws TypeError for what is not. */
export const decode = (bytes) => new TextDecoder("utf-8", { fatal: true }).decode(bytes);

/** One character a byte: for what is compared and split, and not read. */
export function raw(bytes) {
  const parts = [];
  for (let at = 0; at < bytes.length; at += 8192) parts.push(String.fromCharCode(...bytes.subarray(at, at + 8192)));
  return parts.join("");
}

/** The bytes of canonical Base64; null for any other spelling. */
export function base64(text) {
  try {
    const decoded = atob(text);
    return btoa(decoded) === text ? Uint8Array.from(decoded, (letter) => letter.charCodeAt(0)) : null;
  } catch {
    return null;
  }
}

/** Lines as bytes: one of them that is not UTF-8 must not spoil the others. */
export function lines(bytes) {
  const found = [];
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf(0x0a, at);
    const stop = end < 0 ? bytes.length : end;
    found.push(bytes.subarray(at, stop));
    at = stop + 1;
  }
  return found;
}

export const toBase64 = (bytes) => btoa(raw(bytes));

export const equal = (a, b) => a.length === b.length && a.every((byte, at) => byte === b[at]);

/** SHA-256 by the browser, as bytes. */
export const sha256 = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));

export function joined(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
