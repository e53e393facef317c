//! Configuration, in the order it is read: the table of keys, the file as written, one value out of five layers, the
//! settings as meant. Nothing outside this folder reads the environment.

pub(crate) mod control_plane;
mod domains;
pub(crate) mod file;
pub(crate) mod keys;
pub(crate) mod problem;
mod proxies;
pub(crate) mod read;
pub(crate) mod reference;
pub(crate) mod settings;
#[cfg(test)]
mod tests;
pub(crate) mod traces;
pub(crate) mod values;
pub(crate) mod wake;

pub(crate) use problem::Problem;
pub(crate) use settings::{Flags, Settings};
