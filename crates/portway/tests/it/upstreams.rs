//! Dev servers that the test kit does not have.

use bytes::BytesMut;
use portway_testkit::upstream::Server;
use portway_testkit::{Stream, message};
use tokio::io::AsyncWriteExt;

/// Answers every request with the bytes of its body, whatever they are: the visitor says what it wants to be told.
pub(crate) async fn parrot() -> Server {
    Server::start(None, parrot_one).await
}

async fn parrot_one(mut stream: Box<dyn Stream>) -> std::io::Result<()> {
    let mut buffer = BytesMut::new();
    while let Some(mut request) = message::read_head(&mut stream, &mut buffer).await? {
        let length = request.request_length();
        message::read_body(&mut stream, &mut buffer, &mut request, length).await?;
        stream.write_all(&request.body).await?;
        stream.flush().await?;
    }
    Ok(())
}
