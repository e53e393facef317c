// A dev server whose answers never end: `/length` announces more than it will send, `/chunked` never sends a last chunk.
// It prints its port, and ends with its standard input.
import http from 'node:http';

const block = Buffer.alloc(64 * 1024, 'x');

const server = http.createServer((request, response) => {
  if (request.url === '/length') response.setHeader('Content-Length', 2 ** 40);
  const write = () => {
    while (response.write(block));
    response.once('drain', write);
  };
  response.on('error', () => {});
  write();
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.stdin.resume().on('end', () => process.exit());
