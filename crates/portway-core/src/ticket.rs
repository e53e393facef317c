//! Tickets: how a login on the control host becomes a session on one workspace host.
//!
//! The workspace host keeps a nonce in the visitor's browser and sends its hash along; the authoriser binds a single-use
//! ticket to that hash and to the exact host. A ticket that leaks is useless in any other browser (R9) or on any other
//! host (R11). Storage and the "exactly once" belong to the store; here is only what must match.

use crate::Timestamp;
use crate::secret::{Secret, SecretHash};
use crate::workspace::UserId;

/// How long a ticket may be redeemed, in seconds (R10).
pub const LIFETIME: Timestamp = 30;

/// What a ticket is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The canonical host it may be redeemed on.
    pub host: String,
    /// SHA-256 of the nonce in the visitor's browser.
    pub challenge: SecretHash,
    pub user: UserId,
    /// The login it was issued under; the session made from it ends with that login.
    pub login: SecretHash,
    /// A checked path on that host.
    pub return_to: String,
    /// The first second in which it is no longer valid.
    pub expires_at: Timestamp,
}

/// Why a ticket was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    #[error("the ticket is unknown or was used before")]
    Unknown,
    #[error("the ticket has expired")]
    Expired,
    #[error("the ticket is for another host")]
    WrongHost,
    #[error("the login was begun in another browser")]
    WrongBrowser,
}

impl Ticket {
    /// Checks everything but single use.
    ///
    /// # Errors
    /// [`TicketError`] names the first binding that does not hold.
    pub fn check(&self, host: &str, nonce: Option<&Secret>, now: Timestamp) -> Result<(), TicketError> {
        if now >= self.expires_at {
            return Err(TicketError::Expired);
        }
        if self.host != host {
            return Err(TicketError::WrongHost);
        }
        match nonce {
            Some(nonce) if nonce.hash().same(&self.challenge) => Ok(()),
            Some(_) | None => Err(TicketError::WrongBrowser),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_on_its_host_in_its_browser_until_it_expires() {
        let nonce = Secret::new([3; 32]);
        let ticket = Ticket {
            host: "3000-a.example.com".into(),
            challenge: nonce.hash(),
            user: "alice".into(),
            login: SecretHash([0; 32]),
            return_to: "/x".into(),
            expires_at: 100,
        };
        assert_eq!(ticket.check("3000-a.example.com", Some(&nonce), 99), Ok(()));
        assert_eq!(ticket.check("3000-a.example.com", Some(&nonce), 100), Err(TicketError::Expired));
        for host in [
            "5000-a.example.com",
            "example.com",
            "3000-a.example.com.",
            "3000-a.example.com:8443",
            "3000-a.example.co",
            "3000-A.example.com",
        ] {
            assert_eq!(ticket.check(host, Some(&nonce), 99), Err(TicketError::WrongHost), "{host}");
        }
        assert_eq!(ticket.check("3000-a.example.com", None, 99), Err(TicketError::WrongBrowser));
        assert_eq!(ticket.check("3000-a.example.com", Some(&Secret::new([4; 32])), 99), Err(TicketError::WrongBrowser));
    }
}
