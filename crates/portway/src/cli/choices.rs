//! Values of flags that are one of a few words, as the command line spells and explains them.

use clap::ValueEnum;
use portway_core::host::Scheme;
use portway_core::workspace::{Cors, Level, Profile};

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ProfileChoice {
    Localhost,
    Public,
}

impl From<ProfileChoice> for Profile {
    fn from(choice: ProfileChoice) -> Self {
        match choice {
            ProfileChoice::Localhost => Self::Localhost,
            ProfileChoice::Public => Self::Public,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum CorsChoice {
    Gateway,
    Passthrough,
}

impl From<CorsChoice> for Cors {
    fn from(choice: CorsChoice) -> Self {
        match choice {
            CorsChoice::Gateway => Self::Gateway,
            CorsChoice::Passthrough => Self::Passthrough,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum SchemeChoice {
    Http,
    Https,
}

impl From<SchemeChoice> for Scheme {
    fn from(choice: SchemeChoice) -> Self {
        match choice {
            SchemeChoice::Http => Self::Http,
            SchemeChoice::Https => Self::Https,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LevelChoice {
    /// The owner alone
    Owner,
    /// Everybody who can log in
    Authenticated,
    /// Everybody
    Public,
}

impl From<LevelChoice> for Level {
    fn from(choice: LevelChoice) -> Self {
        match choice {
            LevelChoice::Owner => Self::Owner,
            LevelChoice::Authenticated => Self::Authenticated,
            LevelChoice::Public => Self::Public,
        }
    }
}
