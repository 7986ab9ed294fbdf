// Receives callbacks of nodes: node receiver.mjs KEYS.json PORT
//
// KEYS.json is the output of `nkd secrets callback-keys OUT --format json`.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";

import { Webhook, WebhookVerificationError } from "standardwebhooks";

// No event is nearly as large.
const LARGEST = 1 << 20;

const [keys, port] = process.argv.slice(2);
const { nodes } = JSON.parse(readFileSync(keys, "utf8"));
const webhooks = new Map(nodes.map(({ name, key }) => [name, new Webhook(key)]));
const seen = new Set();

// Returns the name of the key: all machines of an open pool sign with the key of the pool.
function signer(event) {
  return event.pool ?? event.node;
}

// Returns the node. A machine of an open pool can claim any name, so the name is one within the pool.
function name(event) {
  return event.pool === undefined ? event.node : `${event.pool}/${event.node}`;
}

// Returns the HTTP status for a callback.
function receive(headers, body) {
  let webhook;
  try {
    // Only the choice of the key depends on this name, so it need not be true yet.
    webhook = webhooks.get(signer(JSON.parse(body).data));
  } catch {
    return 400;
  }
  if (!webhook) return 503;
  let event;
  try {
    event = webhook.verify(body, headers);
  } catch (error) {
    if (!(error instanceof WebhookVerificationError)) throw error;
    // The key or a clock may be wrong for now. The node sends the event again with a new signature.
    return 503;
  }
  if (!seen.has(event.id)) {
    handle(event.data);
    seen.add(event.id);
  }
  return 204;
}

function handle(event) {
  const needsAPerson = event.kind === "failed" && event.retryAfter === undefined;
  const note = needsAPerson ? " (a person is needed)" : "";
  console.log(`${name(event)}: ${event.kind}: ${event.message}${note}`);
}

const server = createServer(async (request, response) => {
  try {
    const chunks = [];
    let length = 0;
    for await (const chunk of request) {
      length += chunk.length;
      if (length > LARGEST) {
        response.writeHead(413).end();
        return;
      }
      chunks.push(chunk);
    }
    const body = Buffer.concat(chunks).toString();
    response.writeHead(receive(request.headers, body)).end();
  } catch (error) {
    console.error(error);
    response.writeHead(503).end();
  }
});
server.listen(Number(port), "127.0.0.1");
