// The chat of Socket.IO's tutorial, with the client's defaults.
import { createServer } from 'node:http';
import express from 'express';
import { Server } from 'socket.io';

const app = express();
const server = createServer(app);
const io = new Server(server);

app.get('/', (_, response) => response.sendFile('index.html', { root: import.meta.dirname }));

io.on('connection', (socket) => {
  socket.on('chat message', (text) => io.emit('chat message', text));
});

server.listen(3000, () => console.log('server running at http://localhost:3000'));
