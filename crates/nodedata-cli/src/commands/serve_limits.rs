use clap::{Args, value_parser};

/// What a server gives to one connection, address and account. `GET /metrics` tells each under the same name.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArgs {
    /// Connections at once. Beyond it one goes of whoever has most of them: the one that has stood still for longest.
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = value_parser!(u32).range(1..))]
    connections: u32,
    /// Connections at once of one address, or of one IPv6 network of 64 bits, without a token. Not those of a trusted
    /// proxy: those who ask through it are counted.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = value_parser!(u32).range(1..))]
    connections_per_address: u32,
    /// Connections at once of one account.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = value_parser!(u32).range(1..))]
    connections_per_account: u32,
    /// How long a connection may be without a request.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    idle_timeout: u32,
    /// How long the head of a request may take from its first byte on.
    #[arg(long, value_name = "SECONDS", default_value_t = 15)]
    head_timeout: u32,
    /// How long 16 KiB of a body or of an answer may take while the other side is waited for.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    stall_timeout: u32,
    /// How long a connection must have stood still for another to take its place.
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    stalled_after: u32,
    /// How long a request may take, and how long its body.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    request_timeout: u32,
    /// Longest body of a request.
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20, value_parser = value_parser!(u64).range(1..))]
    body_bytes: u64,
    /// Memory for bodies of requests, over all.
    #[arg(long, value_name = "BYTES", default_value_t = 256 << 20, value_parser = value_parser!(u64).range(1..))]
    bodies_bytes: u64,
    /// Memory for bodies of requests of one account.
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20, value_parser = value_parser!(u64).range(1..))]
    bodies_bytes_per_account: u64,
    /// Bodies of requests of one account that are under way at once; further ones wait.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = value_parser!(u32).range(1..))]
    bodies_per_account: u32,
    /// Memory for what is sent, over all. Beyond it downloads go on in pieces of 256 KiB.
    #[arg(long, value_name = "BYTES", default_value_t = 256 << 20, value_parser = value_parser!(u64).range(1..))]
    answers_bytes: u64,
    /// Memory for what is sent to one account, or to one address without a token.
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20, value_parser = value_parser!(u64).range(1..))]
    answers_bytes_per_account: u64,
    /// Bytes that all datasets of an owner may hold. Any number when absent.
    #[arg(long, value_name = "BYTES")]
    quota_per_account: Option<u64>,
    /// Bytes that a dataset may hold. Any number when absent.
    #[arg(long, value_name = "BYTES")]
    quota_per_dataset: Option<u64>,
    /// Units of cost that one account, or one address without a token, may use in a second. A range of a blob costs 1, a
    /// list 100, a commit 200; `/openapi.json` tells each.
    #[arg(long, value_name = "UNITS", default_value_t = 20_000, value_parser = value_parser!(u32).range(1..))]
    cost_per_second: u32,
    /// Units that may be used at once before that rate counts.
    #[arg(long, value_name = "UNITS", default_value_t = 100_000, value_parser = value_parser!(u32).range(1..))]
    cost_burst: u32,
}

#[cfg(feature = "server")]
impl LimitArgs {
    pub(crate) fn quotas(&self) -> nodedata_server::Quotas {
        nodedata_server::Quotas {
            bytes_per_account: self.quota_per_account,
            bytes_per_dataset: self.quota_per_dataset,
        }
    }

    pub(crate) fn limits(&self) -> nodedata_server::Limits {
        let seconds = |it: u32| std::time::Duration::from_secs(u64::from(it));
        nodedata_server::Limits {
            connections: self.connections as usize,
            connections_per_address: self.connections_per_address as usize,
            connections_per_account: self.connections_per_account as usize,
            idle_timeout: seconds(self.idle_timeout),
            head_timeout: seconds(self.head_timeout),
            stall_timeout: seconds(self.stall_timeout),
            stalled_after: seconds(self.stalled_after),
            request_timeout: seconds(self.request_timeout),
            body_bytes: self.body_bytes,
            bodies_bytes: self.bodies_bytes,
            bodies_bytes_per_account: self.bodies_bytes_per_account,
            bodies_per_account: self.bodies_per_account as usize,
            answers_bytes: self.answers_bytes,
            answers_bytes_per_account: self.answers_bytes_per_account,
            cost_per_second: self.cost_per_second,
            cost_burst: self.cost_burst,
        }
    }
}

#[cfg(all(test, feature = "server"))]
mod tests {
    use nodedata_server::Limits;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Alone {
        #[command(flatten)]
        limits: LimitArgs,
    }

    fn parse(args: &[&str]) -> Limits {
        let args = ["serve"].into_iter().chain(args.iter().copied());
        let parsed = <Alone as clap::Parser>::try_parse_from(args);
        parsed.unwrap_or_else(|err| panic!("{err}")).limits.limits()
    }

    #[test]
    fn every_limit_is_a_flag_of_its_name_and_has_the_servers_default() {
        assert_eq!(parse(&[]), Limits::default());
        for (idx, (name, default)) in Limits::default().listed().into_iter().enumerate() {
            let flag = format!("--{}", name.replace('_', "-"));
            let changed = parse(&[&flag, &(default as u64 + 1).to_string()]).listed();
            for (other, (before, after)) in Limits::default().listed().iter().zip(changed).enumerate() {
                let expected = if other == idx { before.1 + 1.0 } else { before.1 };
                assert_eq!(after, (before.0, expected), "{flag}");
            }
        }
    }
}
