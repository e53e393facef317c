//! A WebSocket that says everything again.

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;

/// The longest message, in bytes; a page's chat needs far less.
const LONGEST: usize = 64 * 1024;

/// Opens one.
pub(super) async fn open(upgrade: WebSocketUpgrade) -> Response {
    upgrade.max_message_size(LONGEST).max_frame_size(LONGEST).on_upgrade(repeat)
}

/// Ends with the peer. Pings and the closing handshake are the library's.
async fn repeat(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        let again = match message {
            Message::Text(_) | Message::Binary(_) => message,
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) => continue,
        };
        if socket.send(again).await.is_err() {
            return;
        }
    }
}
