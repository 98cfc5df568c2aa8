/** Calls of the service. Its problems (RFC 9457) become errors that speak its own sentence. */

const TIMEOUT_MS = 20_000;

/** The service said no (`status`, `code`), or did not answer (`status` 0). */
export class ServiceError extends Error {
  constructor(status, code, sentence) {
    super(sentence);
    this.status = status;
    this.code = code;
  }

  /** Whether the same call may go through a little later. */
  get passing() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** A response that is a success; throws `ServiceError`, or AbortError if `signal` says so. */
export async function call(method, path, { body, headers = {}, signal, timeoutMs = TIMEOUT_MS } = {}) {
  const limit = AbortSignal.timeout(timeoutMs);
  const init = { method, headers: { ...headers }, signal: signal ? AbortSignal.any([signal, limit]) : limit };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers["content-type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(path, init);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ServiceError(0, "unreachable", "The service does not answer. Check the connection; nothing was lost.");
  }
  if (answer.ok) return answer;
  throw await refusal(answer);
}

async function refusal(answer) {
  try {
    const { code, detail, requestId } = await answer.json();
    const number = answer.status === 500 && requestId ? ` Its number is ${requestId}.` : "";
    if (typeof detail === "string") return new ServiceError(answer.status, code, detail + number);
  } catch {
    // Not ours: a proxy's page, say.
  }
  return new ServiceError(answer.status, "unexpected", `The service answered ${answer.status}. Try again in a moment.`);
}

/** The JSON of a GET. */
export const get = async (path, options) => (await call("GET", path, options)).json();

/** The JSON of a POST. */
export const post = async (path, body, options = {}) => (await call("POST", path, { ...options, body })).json();

/** Media items: what the console asks for. */
export const media = {
  list: (query) => get(`/api/media?${new URLSearchParams(query)}`),
  one: (id) => get(`/api/media/${id}`),
  register: (file, key, signal) => post("/api/media", file, { headers: { "idempotency-key": key }, signal }),
  upload: (id, signal) => get(`/api/media/${id}/upload`, { signal }),
  complete: (id, signal) => post(`/api/media/${id}/complete`, undefined, { signal, timeoutMs: 120_000 }),
  abort: (id) => call("DELETE", `/api/media/${id}/upload`),
  erase: async (id) => (await call("DELETE", `/api/media/${id}`)).json(),
  retry: (id) => post("/api/transcoding/retry", { mediaId: id }),
  playback: (id) => get(`/api/media/${id}/playback`),
};
