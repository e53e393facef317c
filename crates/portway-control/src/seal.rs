//! Sealing: the control plane's own session is kept encrypted beside the login that rests on it, under a key that is not in
//! the database (R2). AES-256-GCM, the login's hash bound in.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use portway_core::secret::SecretHash;

/// Bytes of a key.
pub const KEY_LEN: usize = 32;

/// What a proof holds, and for whom: no login has this hash.
const PROOF: (SecretHash, &str) = (SecretHash([0; 32]), "the same key");

/// A key that seals and opens.
pub struct SealKey(LessSafeKey);

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(…)")
    }
}

impl SealKey {
    /// A key of 32 secret random bytes; `None` where the system's library refuses it.
    pub fn new(key: &[u8; KEY_LEN]) -> Option<Self> {
        Some(Self(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?)))
    }

    /// Something that only this key opens; see [`SealKey::agrees`]. `None` without randomness.
    pub fn proof(&self) -> Option<Vec<u8>> {
        self.seal(&PROOF.0, PROOF.1)
    }

    /// Whether a [`SealKey::proof`] was made with this key.
    pub fn agrees(&self, proof: &[u8]) -> bool {
        self.open(&PROOF.0, proof).as_deref() == Some(PROOF.1)
    }

    /// Seals `value` for `login`; `None` without randomness.
    pub(crate) fn seal(&self, login: &SecretHash, value: &str) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).ok()?;
        let mut sealed = value.as_bytes().to_vec();
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(&login.0[..]), &mut sealed)
            .ok()?;
        sealed.splice(..0, nonce);
        Some(sealed)
    }

    /// Opens what was sealed for `login`; `None` for anything else, and under another key.
    pub(crate) fn open(&self, login: &SecretHash, sealed: &[u8]) -> Option<String> {
        let (nonce, rest) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut rest = rest.to_vec();
        let value = self.0.open_in_place(nonce, Aad::from(&login.0[..]), &mut rest).ok()?;
        String::from_utf8(value.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_and_login_open_what_was_sealed() {
        let (key, other) = (SealKey::new(&[1; KEY_LEN]).unwrap(), SealKey::new(&[2; KEY_LEN]).unwrap());
        let (mine, yours) = (SecretHash([3; 32]), SecretHash([4; 32]));
        let sealed = key.seal(&mine, "01HSESSION").unwrap();
        assert_eq!(key.open(&mine, &sealed).as_deref(), Some("01HSESSION"));
        assert_ne!(key.seal(&mine, "01HSESSION").unwrap(), sealed, "a nonce was used twice");
        assert_eq!(key.open(&yours, &sealed), None);
        assert_eq!(other.open(&mine, &sealed), None);
        let mut spoilt = sealed.clone();
        spoilt[NONCE_LEN] ^= 1;
        for bad in [&spoilt[..], &sealed[..10], &[]] {
            assert_eq!(key.open(&mine, bad), None);
        }
    }
}
