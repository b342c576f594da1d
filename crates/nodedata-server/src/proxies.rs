//! Whose word about addresses is taken.

use std::{net::IpAddr, str::FromStr};

use axum::http::HeaderMap;
use nodedata_core::{Error, ErrorKind, Result};

const FORWARDED_FOR: &str = "x-forwarded-for";

/// An address, or the network of those that begin as it does: `10.0.0.7`, `10.0.0.0/8`, `fd00::/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    n_bits: u32,
}

impl Network {
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differing = own.to_bits() ^ other.to_bits();
                differing.leading_zeros() >= self.n_bits
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differing = own.to_bits() ^ other.to_bits();
                differing.leading_zeros() >= self.n_bits
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refused = |why: &str| {
            Error::new(ErrorKind::Config, format!("`{text}` is no network: {why}"))
                .with_hint("write an address such as 10.0.0.7, or a network such as 10.0.0.0/8 or fd00::/8")
        };
        let (address, n_bits) = match text.split_once('/') {
            Some((address, n_bits)) => (address, Some(n_bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| refused("no address stands there"))?;
        let address = address.to_canonical();
        let n_bits_max = if address.is_ipv4() { 32 } else { 128 };
        let n_bits = match n_bits {
            Some(it) => it.parse::<u32>().ok().filter(|it| *it <= n_bits_max),
            None => Some(n_bits_max),
        };
        let n_bits = n_bits.ok_or_else(|| refused(&format!("it has 0 to {n_bits_max} bits")))?;
        let rest = match address {
            IpAddr::V4(it) => u128::from(it.to_bits().checked_shl(n_bits).unwrap_or(0)),
            IpAddr::V6(it) => it.to_bits().checked_shl(n_bits).unwrap_or(0),
        };
        if rest != 0 {
            return Err(refused(&format!("its address says more than {n_bits} bits")));
        }
        Ok(Self { address, n_bits })
    }
}

pub(crate) fn is_trusted(proxies: &[Network], address: IpAddr) -> bool {
    proxies.iter().any(|it| it.contains(address))
}

/// The address that a request comes from: the peer's own, or, where the peer is a trusted proxy, the last one in
/// `X-Forwarded-For` that is none. Whatever stands before that, its sender could have written.
pub(crate) fn client_address(proxies: &[Network], peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let mut client = peer.to_canonical();
    let lines = headers.get_all(FORWARDED_FOR).iter().collect::<Vec<_>>();
    let hops = lines.into_iter().rev().flat_map(|it| it.to_str().unwrap_or_default().rsplit(','));
    for hop in hops {
        if !is_trusted(proxies, client) {
            break;
        }
        // What is no address was not written by a proxy that we know: the last one that is counts.
        let Some(address) = address_of(hop.trim()) else { break };
        client = address;
    }
    client
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1` or `[2001:db8::1]:4711`.
fn address_of(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|it| it.split_once(']')).map(|it| it.0);
    let address = bare.unwrap_or(text).parse::<IpAddr>().ok();
    let address = address.or_else(|| Some(text.parse::<std::net::SocketAddr>().ok()?.ip()));
    address.map(|it| it.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Vec<Network> {
        texts.iter().map(|it| it.parse().unwrap()).collect()
    }

    #[test]
    fn networks_hold_what_begins_as_they_do() {
        let holds = |network: &str, address: &str| networks(&[network])[0].contains(address.parse().unwrap());
        assert!(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("10.0.0.7", "10.0.0.7") && !holds("10.0.0.7", "10.0.0.6"));
        assert!(holds("10.0.0.7", "::ffff:10.0.0.7"), "as sockets of both families tell it");
        assert!(
            holds("fd00::/8", "fd12::1") && !holds("fd00::/8", "fe00::1") && !holds("fd00::/8", "1.2.3.4")
        );
        assert!(holds("0.0.0.0/0", "8.8.8.8") && holds("::/0", "::1") && !holds("0.0.0.0/0", "::1"));
        for bad in ["", "x", "10.0.0.0/33", "10.0.0.0/", "10.0.0.1/8", "::1/129", "fd00::1/8", "10.0.0.0/+8x"]
        {
            assert_eq!(bad.parse::<Network>().unwrap_err().kind(), ErrorKind::Config, "{bad}");
        }
    }

    #[test]
    fn only_a_trusted_proxy_says_who_asks() {
        let client = |proxies: &[&str], peer: &str, lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(FORWARDED_FOR, line.parse().unwrap());
            }
            client_address(&networks(proxies), peer.parse().unwrap(), &headers).to_string()
        };
        assert_eq!(client(&[], "10.0.0.1", &["1.2.3.4"]), "10.0.0.1", "anybody can write a header");
        assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &["1.2.3.4"]), "1.2.3.4");
        assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &["6.6.6.6, 1.2.3.4, 10.0.0.9"]), "1.2.3.4");
        assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &["6.6.6.6", "1.2.3.4", "10.0.0.9"]), "1.2.3.4");
        assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &["1.2.3.4, nonsense"]), "10.0.0.1");
        assert_eq!(client(&["::1"], "::1", &["[2001:db8::1]:4711"]), "2001:db8::1");
        assert_eq!(client(&["127.0.0.1"], "127.0.0.1", &["1.2.3.4:80"]), "1.2.3.4");
    }
}
