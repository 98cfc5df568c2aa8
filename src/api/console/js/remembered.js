/** Which item an unfinished upload belongs to, kept in this browser over closed tabs. */

const PREFIX = "codex-media.upload.";
const KEPT_MS = 7 * 24 * 3600 * 1000;
/** Longer than any upload may take; what is older is nobody's. */

/** The same file, for the same creator: by its name, size and time of change. */
const nameOf = (subject, file) => `${PREFIX}${JSON.stringify([subject, file.name, file.size, file.lastModified])}`;

/** What is kept of this file: `{key, mediaId}`. A new one has a key of its own, and no item yet. */
export function remember(subject, file) {
  const name = nameOf(subject, file);
  const found = read(name);
  if (found) return found;
  const fresh = { key: crypto.randomUUID(), mediaId: null, at: Date.now() };
  write(name, fresh);
  return fresh;
}

/** From now on this file is that item's. */
export function bind(subject, file, mediaId) {
  write(nameOf(subject, file), { ...remember(subject, file), mediaId });
}

/** The file has arrived, or is not wanted any more. */
export function forget(subject, file) {
  try {
    localStorage.removeItem(nameOf(subject, file));
  } catch {
    // A browser without storage remembers nothing: its uploads go on only while the page is open.
  }
}

/** Drops what was left behind long ago. */
export function sweep() {
  try {
    for (const name of Object.keys(localStorage)) if (name.startsWith(PREFIX) && !read(name)) localStorage.removeItem(name);
  } catch {
    // As above.
  }
}

function read(name) {
  try {
    const found = JSON.parse(localStorage.getItem(name));
    return found && Date.now() - found.at < KEPT_MS ? found : null;
  } catch {
    return null;
  }
}

function write(name, value) {
  try {
    localStorage.setItem(name, JSON.stringify(value));
  } catch {
    // As above.
  }
}
