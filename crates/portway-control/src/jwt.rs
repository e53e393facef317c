//! Sessions that are signed tokens (RFC 7519): checked against the control plane's key set (RFC 7517), which is read now and
//! then, and at once for a key that is not known.
//!
//! A token cannot be taken back: it ends at its `exp`, or when its key leaves the set. It knows no cookie and no store.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use portway_sources::{ApiError, ApiServer, Call, ControlSession, Held};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::app::now;
use crate::sessions::Pointers;

#[cfg(test)]
mod tests;

/// How often the key set is read again.
const REFRESH: Duration = Duration::from_secs(60);
/// How long a key set that cannot be read again is believed.
const BELIEVED: Duration = Duration::from_secs(900);
/// How long there is between two tries, whatever tokens come.
const BETWEEN: Duration = Duration::from_secs(2);
/// Keys beyond these are not looked at.
const KEYS_MAX: usize = 64;
/// How far the clocks may be apart for `nbf`, in seconds.
const LEEWAY: u64 = 60;

/// Checks tokens. Clones share the key set.
#[derive(Clone, Debug)]
pub struct JwtSessions {
    keys: Arc<Keys>,
    claims: Pointers,
    issuer: Option<String>,
    audience: Option<String>,
}

/// Where the key set is.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// A path of the API server.
    Server(ApiServer, String),
    File(PathBuf),
}

/// Why the keys cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error("the key set cannot be read: {0}")]
    Api(#[from] ApiError),
    #[error("the key set cannot be read: {}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("the key set cannot be read: it is no JSON with `keys`")]
    Shape,
    #[error("the key set has no key for signatures: RSA, EC or Ed25519")]
    Empty,
}

#[derive(Debug)]
struct Keys {
    source: KeySource,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    keys: Arc<[Key]>,
    read: Option<Instant>,
    tried: Option<Instant>,
}

/// A key for signatures.
struct Key {
    id: Option<String>,
    /// What it may be used with: its own algorithm, or all of its family.
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

impl JwtSessions {
    /// Tokens signed with a key of `source`. An issuer and an audience that are given must be in the token; a token for an
    /// audience is refused where none is given.
    pub fn new(source: KeySource, claims: Pointers, issuer: Option<String>, audience: Option<String>) -> Self {
        Self { keys: Arc::new(Keys { source, kept: Mutex::default() }), claims, issuer, audience }
    }

    /// Whose token this is, if it holds.
    ///
    /// # Errors
    /// [`KeysError`]: nobody can tell.
    pub(crate) async fn look_up(&self, token: &str) -> Result<Option<ControlSession>, KeysError> {
        let Ok(header) = decode_header(token) else { return Ok(None) };
        if header.crit.is_some() {
            // RFC 7515 4.1.11: nothing here knows an extension.
            return Ok(None);
        }
        let fits = |key: &Key| {
            key.algorithms.contains(&header.alg) && (header.kid.is_none() || key.id.is_none() || key.id == header.kid)
        };
        let keys = self.keys.with(fits).await?;
        Ok(keys.iter().filter(|key| fits(key)).find_map(|key| self.check(token, key)))
    }

    /// Which of these still hold; of none, whether there are keys at all.
    ///
    /// # Errors
    /// As [`JwtSessions::look_up`].
    pub(crate) async fn hold(&self, tokens: &[String]) -> Result<Vec<Held>, KeysError> {
        let mut held = Vec::new();
        self.keys.with(|_| true).await?;
        for token in tokens {
            if self.look_up(token).await?.is_some() {
                // What a token says of groups was true when it was signed; a newer one of the same person may say more.
                held.push(Held { value: token.clone(), groups: None });
            }
        }
        Ok(held)
    }

    fn check(&self, token: &str, key: &Key) -> Option<ControlSession> {
        let mut validation = Validation::new(*key.algorithms.first()?);
        validation.algorithms.clone_from(&key.algorithms);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        let mut required = vec!["exp"];
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        if let Some(audience) = &self.audience {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        validation.set_required_spec_claims(&required);
        let claims = decode::<Value>(token, &key.key, &validation).ok()?.claims;
        // Some write seconds with a fraction.
        let end = claims.get("exp")?.to_string();
        let expires_at = end.split('.').next()?.parse().ok()?;
        let person = self.claims.read(&claims)?;
        (expires_at > now()).then(|| person.session(expires_at))
    }
}

impl Keys {
    /// The keys, read again where it is time, or where none of them fits.
    async fn with(&self, fits: impl Fn(&Key) -> bool) -> Result<Arc<[Key]>, KeysError> {
        let mut kept = self.kept.lock().await;
        let older = |at: Option<Instant>, than: Duration| at.is_none_or(|at| at.elapsed() >= than);
        let wanted = older(kept.read, REFRESH) || !kept.keys.iter().any(fits);
        if wanted && older(kept.tried, BETWEEN) {
            let read = self.read().await;
            kept.tried = Some(Instant::now());
            match read {
                Ok(keys) => {
                    kept.keys = keys.into();
                    kept.read = kept.tried;
                }
                Err(error) if older(kept.read, BELIEVED) => {
                    kept.keys = Arc::default();
                    return Err(error);
                }
                Err(error) => tracing::warn!(event = "keys", %error, "the keys that were read last stay in use"),
            }
        }
        if kept.read.is_none() { Err(KeysError::Empty) } else { Ok(kept.keys.clone()) }
    }

    async fn read(&self) -> Result<Vec<Key>, KeysError> {
        let bytes = match &self.source {
            KeySource::Server(server, path) => {
                match server.send(Call { method: "GET", path, ..Call::default() }).await? {
                    (StatusCode::OK, body) => body.to_vec(),
                    (status, _) => return Err(ApiError::Unexpected(status).into()),
                }
            }
            KeySource::File(path) => {
                let told = |source| KeysError::File { path: path.clone(), source };
                tokio::fs::read(path).await.map_err(told)?
            }
        };
        let set: JwkSet = serde_json::from_slice(&bytes).map_err(|_| KeysError::Shape)?;
        let keys: Vec<Key> = set.keys.iter().take(KEYS_MAX).filter_map(Key::of).collect();
        if keys.is_empty() { Err(KeysError::Empty) } else { Ok(keys) }
    }
}

impl Key {
    /// A key of the set, if it is public, for signatures, and of a kind that is known. A secret one would let whoever reads
    /// the set sign.
    fn of(jwk: &Jwk) -> Option<Self> {
        let common = &jwk.common;
        if common.public_key_use.as_ref().is_some_and(|usage| *usage != PublicKeyUse::Signature)
            || matches!(jwk.algorithm, AlgorithmParameters::OctetKey(_))
        {
            return None;
        }
        let key = DecodingKey::from_jwk(jwk).ok()?;
        let own = common.key_algorithm.map(|algorithm| algorithm.to_string().parse::<Algorithm>().ok());
        let algorithms = match own {
            Some(own) => own.into_iter().filter(|own| key.family().algorithms().contains(own)).collect(),
            None => key.family().algorithms().to_vec(),
        };
        Some(Self { id: common.key_id.clone(), algorithms, key })
    }
}
