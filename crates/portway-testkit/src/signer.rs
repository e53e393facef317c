//! Whoever signs sessions: a fresh key, its key set (RFC 7517), and tokens (RFC 7519) with whatever header and claims.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa;
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use serde_json::{Value, json};

/// A key with a name.
pub struct Signer {
    algorithm: Algorithm,
    key: EncodingKey,
    /// The public key's own bytes.
    public: Vec<u8>,
    id: String,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Signer {
    /// A fresh key for an algorithm of RSA, EC or Ed25519.
    ///
    /// # Panics
    /// For any other algorithm.
    #[must_use]
    pub fn new(algorithm: Algorithm, id: &str) -> Self {
        let made = |kind| {
            let pair = KeyPair::generate_for(kind).expect("a key");
            (pair.serialize_der(), pair.public_key_raw().to_vec())
        };
        let (key, public) = match algorithm {
            Algorithm::ES256 | Algorithm::ES384 => {
                let curve =
                    if algorithm == Algorithm::ES256 { &PKCS_ECDSA_P256_SHA256 } else { &PKCS_ECDSA_P384_SHA384 };
                let (key, public) = made(curve);
                (EncodingKey::from_ec_der(&key), public)
            }
            Algorithm::EdDSA => {
                let (key, public) = made(&PKCS_ED25519);
                (EncodingKey::from_ed_der(&key), public)
            }
            Algorithm::RS256 | Algorithm::PS256 => {
                let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).expect("a key");
                let pkcs8: Pkcs8V1Der<'_> = pair.as_der().expect("a private key");
                // PKCS #1 stands inside PKCS #8, behind 26 bytes that are the same for each key of this size (RFC 5958 2).
                let pkcs1 = &pkcs8.as_ref()[26..];
                (EncodingKey::from_rsa_der(pkcs1), pair.public_key().as_ref().to_vec())
            }
            other => panic!("no key for {other:?}"),
        };
        Self { algorithm, key, public, id: id.to_owned() }
    }

    /// Its public key.
    ///
    /// # Panics
    /// Never for keys made here.
    #[must_use]
    pub fn jwk(&self) -> Jwk {
        let mut jwk = match self.algorithm {
            // The library cannot take this one out of a private key (RFC 8037 2).
            Algorithm::EdDSA => {
                let x = URL_SAFE_NO_PAD.encode(&self.public);
                let value = json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "x": x});
                serde_json::from_value(value).expect("a public key")
            }
            algorithm => Jwk::from_encoding_key(&self.key, algorithm).expect("a public key"),
        };
        jwk.common.key_id = Some(self.id.clone());
        jwk
    }

    /// A token with its name in the header.
    #[must_use]
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_as(&Header { kid: Some(self.id.clone()), ..Header::new(self.algorithm) }, claims)
    }

    /// A token with any header.
    ///
    /// # Panics
    /// When the header's algorithm is not one of this key's kind.
    #[must_use]
    pub fn sign_as(&self, header: &Header, claims: &Value) -> String {
        encode(header, claims, &self.key).expect("a signature")
    }
}

/// The key set of these signers.
#[must_use]
pub fn key_set(signers: &[&Signer]) -> String {
    serde_json::to_string(&JwkSet { keys: signers.iter().map(|signer| signer.jwk()).collect() }).expect("JSON")
}
