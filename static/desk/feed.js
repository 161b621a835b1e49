// The feed's client: one WebSocket, numbered deltas, and a new snapshot whenever one was missed.

const BACKOFF = [0.5, 1, 2, 4, 8];
const SILENT_SECONDS = 75; // the server pings every 30

/**
 * Calls `on.snapshot(data)` and `on.delta(kind, data)`, and `on.state(state)` with connecting, live, stale (the server
 * has lost its own feed and sends snapshots), offline or signed-out.
 */
export class Feed {
  constructor(path, on) {
    this.url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${path}`;
    this.on = on;
    this.streams = {};
    this.attempts = 0;
    this.synchronised = false;
    this.heard = 0;
    setInterval(() => this.watchSilence(), 5000);
    window.addEventListener("online", () => this.connect());
    this.connect();
  }

  connect() {
    if (this.socket && this.socket.readyState <= WebSocket.OPEN) return;
    clearTimeout(this.timer);
    this.synchronised = false;
    this.heard = Date.now();
    this.on.state(this.attempts ? "offline" : "connecting");
    const socket = new WebSocket(this.url);
    this.socket = socket;
    socket.onmessage = (event) => {
      if (socket === this.socket) this.take(JSON.parse(event.data));
    };
    socket.onclose = () => {
      if (socket === this.socket) this.retry();
    };
  }

  async retry() {
    this.on.state("offline");
    const delay = BACKOFF[Math.min(this.attempts, BACKOFF.length - 1)] * (0.8 + 0.4 * Math.random());
    this.attempts += 1;
    if (this.attempts % 3 === 0 && (await this.signedOut())) {
      this.on.state("signed-out");
      return;
    }
    this.timer = setTimeout(() => this.connect(), delay * 1000);
  }

  /** A refused upgrade looks like any failure to a page; the page itself says whether the session has ended. */
  async signedOut() {
    try {
      const answer = await fetch(location.pathname, { method: "GET", redirect: "manual", cache: "no-store" });
      return answer.type === "opaqueredirect" || answer.status === 403;
    } catch {
      return false;
    }
  }

  watchSilence() {
    if (this.socket?.readyState === WebSocket.OPEN && Date.now() - this.heard > SILENT_SECONDS * 1000) this.socket.close();
  }

  resync() {
    this.synchronised = false;
    this.socket.send(JSON.stringify({ type: "resync" }));
  }

  take(message) {
    this.heard = Date.now();
    const { type, data, stream, sequence } = message;
    if (type === "initial_data") {
      this.attempts = 0;
      this.synchronised = true;
      this.streams = { ...data.streams };
      this.on.snapshot(data);
      if (this.live !== false) this.on.state("live");
    } else if (type === "ping") {
      this.socket.send('{"type":"pong"}');
      const missed = Object.entries(message.streams).some(([name, number]) => number > (this.streams[name] ?? 0));
      if (this.synchronised && missed) this.resync();
    } else if (type === "feed_state") {
      this.live = data.live;
      this.on.state(data.live ? (this.synchronised ? "live" : "connecting") : "stale");
    } else if (stream === undefined) {
      this.on.delta(type, data);
    } else if (this.synchronised) {
      const seen = this.streams[stream] ?? 0;
      if (sequence <= seen) return;
      if (sequence > seen + 1) return this.resync();
      this.streams[stream] = sequence;
      this.on.delta(type, data);
    }
  }
}
