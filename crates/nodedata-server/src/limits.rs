use std::time::Duration;

use nodedata_core::{Error, ErrorKind, Result};

/// What a server gives to one connection, one address, one account, and to all of them together. Each is a flag of
/// `node-data serve` and stands in `/metrics`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once. Beyond it the slowest of whoever has most of them is closed. Default 512.
    pub connections: usize,
    /// Connections of one address at once, those of accounts aside; an IPv6 address is its network of 64 bits. Those of a
    /// trusted proxy are not counted, the requests in them are. Default 64.
    pub connections_per_address: usize,
    /// Connections of one account at once. Default 64.
    pub connections_per_account: usize,
    /// How long a connection may be without a request. Default 60 s.
    pub idle_timeout: Duration,
    /// How long the head of a request may take from its first byte on. Default 15 s.
    pub head_timeout: Duration,
    /// How long 16 KiB of a body or of an answer may take while the other side is waited for. Default 30 s.
    pub stall_timeout: Duration,
    /// How long a connection must have stood still for another to take its place. Default 5 s.
    pub stalled_after: Duration,
    /// How long a request may take, and how long its body. Default 120 s.
    pub request_timeout: Duration,
    /// Longest body of a request, in bytes. Default 64 MiB: a part of a blob of 512 GiB.
    pub body_bytes: u64,
    /// Bytes of bodies in memory at once, over all requests. Default 256 MiB.
    pub bodies_bytes: u64,
    /// Bytes of bodies of one account in memory at once. Default 64 MiB.
    pub bodies_bytes_per_account: u64,
    /// Bodies of one account under way at once. Default 32.
    pub bodies_per_account: usize,
    /// Bytes of answers in memory at once, over all requests; beyond it downloads go on in pieces of 256 KiB.
    /// Default 256 MiB.
    pub answers_bytes: u64,
    /// The same for one account, or one address without a token. Default 64 MiB.
    pub answers_bytes_per_account: u64,
    /// Units of cost that one account, or one address without a token, may use in a second. A range of a blob costs 1, a
    /// list 100, a commit 200. Default 20,000.
    pub cost_per_second: u32,
    /// Units that may be used at once before that rate counts. Default 100,000.
    pub cost_burst: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            connections_per_address: 64,
            connections_per_account: 64,
            idle_timeout: Duration::from_secs(60),
            head_timeout: Duration::from_secs(15),
            stall_timeout: Duration::from_secs(30),
            stalled_after: Duration::from_secs(5),
            request_timeout: Duration::from_secs(120),
            body_bytes: 64 << 20,
            bodies_bytes: 256 << 20,
            bodies_bytes_per_account: 64 << 20,
            bodies_per_account: 32,
            answers_bytes: 256 << 20,
            answers_bytes_per_account: 64 << 20,
            cost_per_second: 20_000,
            cost_burst: 100_000,
        }
    }
}

impl Limits {
    /// Each with its name, in seconds, bytes or numbers: what `/metrics` tells.
    pub fn listed(&self) -> [(&'static str, f64); 16] {
        [
            ("connections", self.connections as f64),
            ("connections_per_address", self.connections_per_address as f64),
            ("connections_per_account", self.connections_per_account as f64),
            ("idle_timeout", self.idle_timeout.as_secs_f64()),
            ("head_timeout", self.head_timeout.as_secs_f64()),
            ("stall_timeout", self.stall_timeout.as_secs_f64()),
            ("stalled_after", self.stalled_after.as_secs_f64()),
            ("request_timeout", self.request_timeout.as_secs_f64()),
            ("body_bytes", self.body_bytes as f64),
            ("bodies_bytes", self.bodies_bytes as f64),
            ("bodies_bytes_per_account", self.bodies_bytes_per_account as f64),
            ("bodies_per_account", self.bodies_per_account as f64),
            ("answers_bytes", self.answers_bytes as f64),
            ("answers_bytes_per_account", self.answers_bytes_per_account as f64),
            ("cost_per_second", f64::from(self.cost_per_second)),
            ("cost_burst", f64::from(self.cost_burst)),
        ]
    }

    /// Whether a server can run within them.
    ///
    /// # Errors
    /// `Config`: none may be zero but the times, and a body that is allowed must fit what its account has, and that what
    /// the server has.
    pub(crate) fn check(&self) -> Result<()> {
        let refused =
            |message: String, hint: &str| Err(Error::new(ErrorKind::Config, message).with_hint(hint));
        let times = ["idle_timeout", "head_timeout", "stall_timeout", "stalled_after", "request_timeout"];
        let zero = self.listed().into_iter().find(|(name, value)| *value == 0.0 && !times.contains(name));
        if let Some((name, _)) = zero {
            return refused(format!("the limit `{name}` is 0"), "nothing could be asked; allow at least 1");
        }
        if self.bodies_bytes_per_account < self.body_bytes {
            let (longest, own) = (self.body_bytes, self.bodies_bytes_per_account);
            let message = format!("bodies may have {longest} bytes, and all of an account only {own}");
            return refused(message, "raise `bodies_bytes_per_account`, or lower `body_bytes`");
        }
        if self.bodies_bytes < self.bodies_bytes_per_account {
            let (own, all) = (self.bodies_bytes_per_account, self.bodies_bytes);
            let message = format!("an account may have {own} bytes of bodies in memory, and all only {all}");
            return refused(message, "raise `bodies_bytes`, or lower `bodies_bytes_per_account`");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_nothing_passes_are_mistakes() {
        Limits::default().check().unwrap();
        let refused = |change: &dyn Fn(&mut Limits)| {
            let mut limits = Limits::default();
            change(&mut limits);
            limits.check().unwrap_err().to_string()
        };
        assert!(refused(&|it| it.connections = 0).contains("`connections` is 0"));
        assert!(refused(&|it| it.cost_burst = 0).contains("`cost_burst` is 0"));
        assert!(refused(&|it| it.body_bytes = 65 << 20).contains("all of an account only"));
        assert!(refused(&|it| it.bodies_bytes = 1 << 20).contains("and all only 1048576"));
    }
}
