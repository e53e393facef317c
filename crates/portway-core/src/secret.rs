//! Secrets that are shown once and kept only as hashes: sessions, tickets, login links, tokens.
//!
//! The caller draws the random bytes; this file gives them their text, reads it back and hashes it. SHA-256 without a
//! salt is right here because the input is 256 random bits, not a password.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// What secret scanners look for (R56).
pub const TOKEN_PREFIX: &str = "pwy_";
/// 32 bytes in unpadded base64url.
pub const SECRET_TEXT_LEN: usize = 43;
const CHECKSUM_LEN: usize = 6;

/// 256 random bits. Never printed by `Debug`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// Wraps bytes drawn by the caller from the system's generator.
    pub fn new(random: [u8; 32]) -> Self {
        Self(random)
    }

    /// The text that goes into a cookie or URL.
    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Reads [`Secret::text`] back; anything but its one spelling is `None`.
    pub fn read(text: &[u8]) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }

    /// What is stored.
    pub fn hash(&self) -> SecretHash {
        SecretHash(Sha256::digest(self.0).into())
    }

    /// The text of an API token: prefix, secret, and a checksum that tells a typo from a revoked token offline.
    pub fn token_text(&self) -> String {
        format!("{TOKEN_PREFIX}{}{}", self.text(), self.checksum())
    }

    /// Reads [`Secret::token_text`] back.
    pub fn read_token(text: &[u8]) -> Option<Self> {
        let body = text.strip_prefix(TOKEN_PREFIX.as_bytes())?;
        let (secret, checksum) = body.split_at_checked(SECRET_TEXT_LEN)?;
        let secret = Self::read(secret)?;
        (secret.checksum().as_bytes() == checksum).then_some(secret)
    }

    fn checksum(&self) -> String {
        let mut sum = URL_SAFE_NO_PAD.encode(Sha256::new().chain_update(b"pwy").chain_update(self.0).finalize());
        sum.truncate(CHECKSUM_LEN);
        sum
    }
}

/// The SHA-256 of a secret: the key under which it is looked up.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretHash(pub [u8; 32]);

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

impl SecretHash {
    /// Base64url, for a URL (a challenge) or a column.
    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Reads [`SecretHash::text`] back.
    pub fn read(text: &[u8]) -> Option<Self> {
        Some(Self(URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?))
    }

    /// Compares in constant time.
    pub fn same(&self, other: &Self) -> bool {
        subtle::ConstantTimeEq::ct_eq(&self.0[..], &other.0[..]).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_tokens_read_back_and_near_misses_do_not() {
        let secret = Secret::new([7; 32]);
        assert_eq!(Secret::read(secret.text().as_bytes()), Some(secret));
        let token = secret.token_text();
        assert_eq!(token.len(), TOKEN_PREFIX.len() + SECRET_TEXT_LEN + CHECKSUM_LEN);
        assert_eq!(Secret::read_token(token.as_bytes()), Some(secret));
        for index in 0..token.len() {
            let mut typo = token.clone().into_bytes();
            typo[index] = if typo[index] == b'A' { b'B' } else { b'A' };
            assert_eq!(Secret::read_token(&typo), None, "typo at {index}");
        }
        assert_eq!(Secret::read_token(&token.as_bytes()[..token.len() - 1]), None);
        assert_eq!(Secret::read_token(format!("{token}A").as_bytes()), None);
        assert_eq!(Secret::read(b""), None);
    }

    #[test]
    fn a_secret_has_one_spelling() {
        // The last of 43 letters holds four bits; with the two others set it would be a second text of the same secret.
        let text = Secret::new([0xff; 32]).text();
        assert_eq!((text.len(), text.chars().last()), (SECRET_TEXT_LEN, Some('8')));
        let body = &text[..SECRET_TEXT_LEN - 1];
        assert!(Secret::read(format!("{body}8").as_bytes()).is_some());
        for text in [
            format!("{body}9"),
            format!("{body}-"),
            format!("{body}8="),
            format!("{body}8 "),
            format!(" {body}8"),
            format!("\"{body}8\""),
            body.to_owned(),
            format!("{body}8A"),
            "/".repeat(SECRET_TEXT_LEN),
            format!("{}A", "+".repeat(SECRET_TEXT_LEN - 1)),
        ] {
            assert_eq!(Secret::read(text.as_bytes()), None, "{text}");
            assert_eq!(SecretHash::read(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_token_is_not_a_session_and_its_prefix_is_exact() {
        let secret = Secret::new([7; 32]);
        let token = secret.token_text();
        assert!(token.starts_with("pwy_"));
        assert_eq!(Secret::read(token.as_bytes()), None);
        assert_eq!(Secret::read_token(secret.text().as_bytes()), None);
        for text in [
            token.replacen("pwy_", "PWY_", 1),
            token.replacen("pwy_", "", 1),
            format!(" {token}"),
            format!("Bearer {token}"),
        ] {
            assert_eq!(Secret::read_token(text.as_bytes()), None, "{text}");
        }
        // The checksum is the token's own: another secret's does not fit.
        let (body, sum) = token.split_at(token.len() - CHECKSUM_LEN);
        let other = Secret::new([8; 32]).token_text();
        assert!(!other.ends_with(sum));
        assert_eq!(Secret::read_token(format!("{body}{}", &other[other.len() - CHECKSUM_LEN..]).as_bytes()), None);
    }

    #[test]
    fn a_secret_is_kept_as_its_sha_256() {
        // `printf '\0%.0s' {1..32} | sha256sum | xxd -r -p | basenc --base64url`
        assert_eq!(Secret::new([0; 32]).hash().text(), "Zmh6rfhivXdsj8GLjp-OIAiXFIVu4jOzkCpZHQ1fKSU");
    }

    #[test]
    fn hashes_differ_and_debug_shows_nothing() {
        let (one, two) = (Secret::new([1; 32]), Secret::new([2; 32]));
        assert!(one.hash().same(&one.hash()) && !one.hash().same(&two.hash()));
        assert_eq!(SecretHash::read(one.hash().text().as_bytes()), Some(one.hash()));
        assert_eq!(format!("{one:?}{:?}", one.hash()), "Secret(…)SecretHash(…)");
    }
}
