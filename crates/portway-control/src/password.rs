//! Passwords: argon2id (RFC 9106), off the runtime's own threads, a few at a time, and as slow for a user who does not
//! exist as for one who does.
//!
//! It knows no user and no store: PHC strings in and out.

use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use tokio::sync::Semaphore;

/// The longest password read, in bytes: enough for any pass phrase, too little to be a burden.
pub const MAX: usize = 1024;
/// The shortest password that may be chosen, in characters (NIST SP 800-63B asks for eight).
pub const MIN: usize = 8;
/// Each verification takes 19 MiB and tens of milliseconds of a core.
const AT_ONCE: usize = 2;
/// How long a verification may wait for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// What is verified for nobody: the same parameters as [`hash`], and no password is known for it.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Why a password cannot be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    #[error("a password has at least {MIN} characters")]
    TooShort,
    #[error("a password has at most {MAX} bytes")]
    TooLong,
    #[error("the password could not be hashed")]
    Failed,
}

/// Hashes a password for the store, as a PHC string. Takes tens of milliseconds of CPU: call it off async threads.
///
/// # Errors
/// [`PasswordError`] for a password outside the limits, or where the system has no randomness.
pub fn hash(password: &str) -> Result<String, PasswordError> {
    if password.chars().count() < MIN {
        return Err(PasswordError::TooShort);
    }
    if password.len() > MAX {
        return Err(PasswordError::TooLong);
    }
    let phc = Argon2::default().hash_password(password.as_bytes()).map_err(|_| PasswordError::Failed)?;
    Ok(phc.to_string())
}

/// Too many verifications are waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Busy;

/// The queue in front of argon2.
#[derive(Debug)]
pub(crate) struct Passwords {
    turns: Semaphore,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        Self { turns: Semaphore::new(AT_ONCE) }
    }

    /// Whether `password` is the one behind `phc`. The work is the same where there is none.
    pub(crate) async fn verify(&self, phc: Option<String>, password: String) -> Result<bool, Busy> {
        self.work(move || verify(phc.as_deref(), &password)).await
    }

    /// [`hash`], in its turn.
    pub(crate) async fn hash(&self, password: String) -> Result<Result<String, PasswordError>, Busy> {
        self.work(move || hash(&password)).await
    }

    async fn work<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let turn = tokio::time::timeout(PATIENCE, self.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(Busy) };
        tokio::task::spawn_blocking(job).await.map_err(|_| Busy)
    }
}

fn verify(phc: Option<&str>, password: &str) -> bool {
    let password = password.as_bytes().get(..MAX).unwrap_or(password.as_bytes());
    let right = Argon2::default().verify_password(password, phc.unwrap_or(NOBODY)).is_ok();
    right && phc.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_password_alone_verifies() {
        let phc = hash("correct horse").unwrap();
        assert!(verify(Some(&phc), "correct horse"));
        assert!(!verify(Some(&phc), "correct horsf"));
        assert!(!verify(None, "correct horse"));
        assert!(!verify(Some("not a phc string"), "correct horse"));
    }

    #[test]
    fn nobody_costs_what_somebody_costs() {
        let phc = hash("correct horse").unwrap();
        let cost = |phc: &str| phc.split('$').take(4).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(cost(&phc), cost(NOBODY));
        assert!(argon2::PasswordHash::new(NOBODY).is_ok(), "else nothing would be computed");
    }

    #[test]
    fn passwords_have_bounds() {
        assert_eq!(hash("1234567"), Err(PasswordError::TooShort));
        assert_eq!(hash(&"x".repeat(MAX + 1)), Err(PasswordError::TooLong));
        assert!(hash(&"x".repeat(MAX)).is_ok());
    }

    #[test]
    fn equal_passwords_have_different_hashes() {
        assert_ne!(hash("correct horse").unwrap(), hash("correct horse").unwrap());
    }
}
