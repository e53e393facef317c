// A dev server as Node makes them: it closes a connection that has been idle for as long as the first argument says, in
// milliseconds. It counts which posted ids it has seen; `/report` tells. It prints its port, and ends with its input.
import http from 'node:http';

const ids = new Map();
const report = { requests: 0, connections: 0, reused: 0, oldest: 0 };
const finished = new WeakMap();

const server = http.createServer(async (request, response) => {
  if (request.url === '/report') {
    response.end(JSON.stringify({ ...report, ids: Object.fromEntries(ids) }));
    return;
  }
  report.requests += 1;
  const { socket } = request;
  if (finished.has(socket)) {
    report.reused += 1;
    report.oldest = Math.max(report.oldest, Math.round(performance.now() - finished.get(socket)));
  }
  let id = '';
  for await (const piece of request) id += piece;
  if (request.method === 'POST') ids.set(id, (ids.get(id) ?? 0) + 1);
  response.on('finish', () => finished.set(socket, performance.now()));
  response.end(id || 'nothing');
});
server.on('connection', () => (report.connections += 1));
server.keepAliveTimeout = Number(process.argv[2]);
// Newer Nodes wait longer than they announce; the race is with those that do not.
server.keepAliveTimeoutBuffer = 0;
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.stdin.resume().on('end', () => process.exit());
