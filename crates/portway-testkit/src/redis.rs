//! A real Redis of a test's own, and the one question that tests ask it.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::eventually;
use crate::service::{Service, free_port, program};

/// A running server without persistence.
#[derive(Debug)]
pub struct Redis {
    service: Option<Service>,
    port: u16,
}

impl Redis {
    /// Starts it on a fresh port.
    ///
    /// # Panics
    /// When Redis is not installed or does not start.
    #[must_use]
    pub fn start() -> Self {
        let mut redis = Self { service: None, port: 0 };
        eventually("Redis to start", || {
            redis.port = free_port();
            redis.try_launch()
        });
        redis
    }

    /// `redis://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The running process.
    ///
    /// # Panics
    /// When it was stopped.
    #[must_use]
    pub fn service(&self) -> &Service {
        self.service.as_ref().expect("a running server")
    }

    /// One command, as `redis-cli` prints its answer.
    ///
    /// # Panics
    /// When it fails.
    pub fn ask(&self, words: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "--no-auth-warning"])
            .args(words)
            .output()
            .expect("run redis-cli");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8").trim_end().to_owned()
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        if let Some(mut service) = self.service.take() {
            service.end("KILL");
        }
    }

    /// Starts it again on the same port, empty.
    pub fn start_again(&mut self) {
        assert!(self.service.is_none(), "it runs");
        eventually("Redis to start again", || self.try_launch());
    }

    fn try_launch(&mut self) -> bool {
        let binary = program(&["/usr/bin/redis-server", "/usr/local/bin/redis-server"].map(PathBuf::from));
        let mut server = Command::new(binary);
        server.args(["--bind", "127.0.0.1", "--port", &self.port.to_string(), "--save", "", "--appendonly", "no"]);
        let mut service = Service::spawn(server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()));
        let port = self.port.to_string();
        let mut ready = false;
        eventually("Redis to answer or to end", || {
            let asked =
                Command::new("redis-cli").args(["-h", "127.0.0.1", "-p", &port, "ping"]).stderr(Stdio::null()).output();
            ready = asked.is_ok_and(|output| output.stdout.starts_with(b"PONG"));
            ready || service.ended().is_some()
        });
        let ours = ready && service.ended().is_none();
        if ours {
            self.service = Some(service);
        }
        ours
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_starts_answers_and_comes_back_empty() {
        let mut redis = Redis::start();
        assert_eq!(redis.ask(&["ZADD", "key", "GT", "5", "one"]), "1");
        redis.kill();
        redis.start_again();
        assert_eq!(redis.ask(&["ZCARD", "key"]), "0");
    }
}
