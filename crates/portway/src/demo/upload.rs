//! An upload of any size, hashed as it comes and kept nowhere.

use axum::Json;
use axum::body::Body;
use axum::http::StatusCode;
use futures_util::StreamExt as _;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// What arrived.
#[derive(Serialize)]
pub(super) struct Received {
    bytes: u64,
    /// In hexadecimal.
    sha256: String,
}

/// Reads the body to its end.
pub(super) async fn receive(body: Body) -> Result<Json<Received>, StatusCode> {
    let mut pieces = body.into_data_stream();
    let (mut hash, mut bytes) = (Sha256::new(), 0_u64);
    while let Some(piece) = pieces.next().await {
        // Cut short: whoever sent it is hardly there any more.
        let piece = piece.map_err(|_| StatusCode::BAD_REQUEST)?;
        hash.update(&piece);
        bytes = bytes.saturating_add(piece.len() as u64);
    }
    let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Json(Received { bytes, sha256 }))
}
