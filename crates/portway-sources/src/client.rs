//! Requests to the control plane's API server, with the session of the person on whose behalf they are made, or a secret of
//! the gateway's own.
//!
//! A connection for each: there are few, and none may answer another's. It knows no path.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long the server may take, from the connection to the last byte.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest answer that is read.
const ANSWER_MAX: usize = 64 * 1024;

/// The API server, by plain http.
#[derive(Clone, Debug)]
pub struct ApiServer {
    pub host: String,
    pub port: u16,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("the API server does not answer in time")]
    Late,
    #[error("the API server cannot be reached: {0}")]
    Away(Box<dyn std::error::Error + Send + Sync>),
    #[error("the API server answered {0}")]
    Unexpected(StatusCode),
    #[error("the API server's answer has no {0}")]
    Incomplete(String),
}

/// One request to it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Call<'a> {
    pub method: &'a str,
    pub path: &'a str,
    /// `name=value`, or nothing.
    pub cookie: &'a str,
    /// What `Authorization: Bearer` carries.
    pub bearer: Option<&'a str>,
    /// JSON, or nothing.
    pub body: &'a str,
    /// The field and the id of the visitor's request that it is made for.
    pub trace: Option<(&'a str, &'a str)>,
}

impl ApiServer {
    /// Sends one request and reads its answer.
    ///
    /// # Errors
    /// [`ApiError::Late`], [`ApiError::Away`].
    pub async fn send(&self, call: Call<'_>) -> Result<(StatusCode, Bytes), ApiError> {
        match timeout(PATIENCE, self.try_send(call)).await {
            Ok(answer) => answer.map_err(ApiError::Away),
            Err(_) => Err(ApiError::Late),
        }
    }

    async fn try_send(&self, call: Call<'_>) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let Call { method, path, cookie, bearer, body, trace } = call;
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, format!("{}:{}", self.host, self.port))
            .header(header::ACCEPT, "application/json");
        if !cookie.is_empty() {
            request = request.header(header::COOKIE, cookie);
        }
        if let Some(secret) = bearer {
            request = request.header(header::AUTHORIZATION, format!("Bearer {secret}"));
        }
        if let Some((name, id)) = trace {
            request = request.header(name, id);
        }
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let response = sender.send_request(request.body(Full::new(Bytes::from(body.to_owned())))?).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await?.to_bytes();
        Ok((status, body))
    }
}
