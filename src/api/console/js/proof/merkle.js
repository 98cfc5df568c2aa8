/** The Merkle tree of RFC 6962, section 2.1, grown leaf by leaf: only its full subtrees are kept. */

import { joined, sha256 } from "./bytes.js";

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);
const AT_ONCE = 1024;

const nodeHash = (left, right) => sha256(joined(NODE, left, right));

/** A tree that has `size` leaves so far; `frontier` are the roots of its full subtrees, largest first. */
export class Tree {
  constructor() {
    this.size = 0;
    this.frontier = [];
  }

  /** Appends leaves (their data, not their hashes). */
  async extend(leaves) {
    for (let at = 0; at < leaves.length; at += AT_ONCE) await this.grow(leaves.slice(at, at + AT_ONCE));
  }

  async grow(leaves) {
    let level = await Promise.all(leaves.map((data) => sha256(joined(LEAF, data))));
    const grown = [...this.frontier];
    const added = [];
    let size = this.size;
    this.size += leaves.length;
    while (level.length) {
      if (size % 2) level.unshift(grown.pop());
      if (level.length % 2) added.push(level.pop());
      const pairs = Array.from({ length: level.length / 2 }, (_, pair) => nodeHash(level[2 * pair], level[2 * pair + 1]));
      level = await Promise.all(pairs);
      size = Math.floor(size / 2);
    }
    this.frontier = [...grown, ...added.reverse()];
  }

  /** The root (MTH of RFC 6962). */
  async root() {
    if (!this.frontier.length) return sha256(new Uint8Array());
    const subtrees = [...this.frontier];
    let node = subtrees.pop();
    while (subtrees.length) node = await nodeHash(subtrees.pop(), node);
    return node;
  }
}
