//! What HTTP asks of a server whatever it serves (RFC 9110): one `Host`, validators, ranges.

use std::ops::Range;

use axum::{
    body::{Body, HttpBody as _, to_bytes},
    http::{HeaderMap, StatusCode, Version, header, uri::Authority},
};
use futures_util::FutureExt as _;
use nodedata_registry::B3;

use crate::{
    refusal::{Answered, Refusal},
    reply::Reply,
};

/// Longest answer that gets a validator of its content, in bytes; blobs have theirs by name.
const VALIDATED_BYTES_MAX: usize = 4 << 20;

/// Refuses a request that does not say, once, to whom it is sent (RFC 9112, 3.2): what stands between could take it for
/// another than we do.
pub(crate) fn check_host(version: Version, headers: &HeaderMap) -> Answered<()> {
    let hosts: Vec<_> = headers.get_all(header::HOST).iter().collect();
    let refused =
        |message: &str| Err(Refusal::new(400, "host", message, "send one `Host: NAME` or `Host: NAME:PORT`"));
    match hosts.as_slice() {
        [] if version < Version::HTTP_11 => Ok(()),
        [] => refused("the request does not say to whom it is sent"),
        [host] => match Authority::try_from(host.as_bytes()) {
            Ok(it) if !it.as_str().contains('@') => Ok(()),
            _ => refused("`Host` is no name of a server"),
        },
        _ => refused("the request says more than once to whom it is sent"),
    }
}

/// The validator of what a digest names.
pub(crate) fn etag_of(b3: &B3) -> String {
    format!("\"{}\"", b3.hex())
}

/// Whether the asker has what the validator names.
pub(crate) fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let lines = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|it| it.to_str().ok());
    let mut tags = lines.flat_map(|it| it.split(',')).map(str::trim);
    // Compared weakly, as the RFC says.
    tags.any(|it| it == "*" || it.strip_prefix("W/").unwrap_or(it) == etag)
}

/// That the asker has it.
pub(crate) fn not_modified(etag: &str) -> Reply {
    Reply::empty().with_status(StatusCode::NOT_MODIFIED).with_header(header::ETAG, etag)
}

/// Gives an answer the validator of its content, or leaves the content out when the asker has it.
pub(crate) fn validated(mut reply: Reply, headers: &HeaderMap) -> Reply {
    let n_bytes = reply.body.size_hint().exact();
    let is_small = n_bytes.is_some_and(|it| it <= VALIDATED_BYTES_MAX as u64);
    if reply.status != StatusCode::OK || reply.headers.contains_key(header::ETAG) || !is_small {
        return reply;
    }
    // What has a length and no name is in memory, so that nothing is waited for.
    let body = std::mem::replace(&mut reply.body, Body::empty());
    let Some(Ok(bytes)) = to_bytes(body, VALIDATED_BYTES_MAX).now_or_never() else {
        return Refusal::new(500, "internal", "the answer was lost", "ask again").reply();
    };
    let etag = etag_of(&B3::of(&bytes));
    if is_known(headers, &etag) {
        return not_modified(&etag);
    }
    reply.body = Body::from(bytes);
    reply.with_header(header::ETAG, &etag)
}

/// What is asked for of something.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Whole,
    Part(Range<u64>),
    /// A range that begins behind the end.
    Nothing,
}

/// The part of `n_bytes` that is asked for: by one range `bytes=FIRST-LAST`, `bytes=FIRST-` or `bytes=-COUNT`. What is none
/// of these, several, or for another state of the bytes asks for the whole, as if it were not there (14.2, 13.1.5).
pub(crate) fn wanted(headers: &HeaderMap, etag: &str, n_bytes: u64) -> Wanted {
    let mut ranges = headers.get_all(header::RANGE).iter();
    let (Some(text), None) = (ranges.next(), ranges.next()) else { return Wanted::Whole };
    // Only a strong validator says that the rest is the rest of the same bytes.
    if headers.get(header::IF_RANGE).is_some_and(|it| it.as_bytes() != etag.as_bytes()) {
        return Wanted::Whole;
    }
    text.to_str().ok().and_then(|it| part_of(it, n_bytes)).unwrap_or(Wanted::Whole)
}

fn part_of(text: &str, n_bytes: u64) -> Option<Wanted> {
    let (unit, range) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim().split_once('-')?;
    // Digits alone; more than any number has are as good as the greatest.
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
        is_number.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    if first.is_empty() {
        return match number(last)? {
            0 => Some(Wanted::Nothing),
            _ if n_bytes == 0 => None,
            count => Some(Wanted::Part(n_bytes.saturating_sub(count)..n_bytes)),
        };
    }
    let first = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    if last < first {
        return None;
    }
    match first < n_bytes {
        true => Some(Wanted::Part(first..last.saturating_add(1).min(n_bytes))),
        false => Some(Wanted::Nothing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETAG: &str = "\"abc\"";

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn ranges_are_read_and_what_is_none_is_passed_over() {
        let of = |text: &str, n_bytes| wanted(&headers(&[("range", text)]), ETAG, n_bytes);
        for (text, part) in [
            ("bytes=0-9", 0..10),
            ("bytes=3-3", 3..4),
            ("bytes=3-", 3..10),
            ("bytes=-4", 6..10),
            ("bytes=-40", 0..10),
            ("Bytes=5-400", 5..10),
            ("bytes=0-18446744073709551615", 0..10),
            ("bytes=-99999999999999999999999", 0..10),
        ] {
            assert_eq!(of(text, 10), Wanted::Part(part), "{text}");
        }
        for text in ["bytes=10-", "bytes=10-12", "bytes=-0", "bytes=18446744073709551615-"] {
            assert_eq!(of(text, 10), Wanted::Nothing, "{text}");
        }
        for text in ["bytes=4-2", "bytes=0-1,3-4", "0-1", "bytes=-", "bytes=a-b", "bytes=+1-2", "lines=0-1"] {
            assert_eq!(of(text, 10), Wanted::Whole, "{text}");
        }
        assert_eq!([of("bytes=0-", 0), of("bytes=-1", 0)], [Wanted::Nothing, Wanted::Whole]);
        let twice = headers(&[("range", "bytes=0-1"), ("range", "bytes=2-3")]);
        assert_eq!(wanted(&twice, ETAG, 10), Wanted::Whole);
    }

    #[test]
    fn a_range_of_other_bytes_is_none() {
        let of =
            |if_range: &str| wanted(&headers(&[("range", "bytes=0-1"), ("if-range", if_range)]), ETAG, 10);
        assert_eq!(of(ETAG), Wanted::Part(0..2));
        for other in ["\"abd\"", "W/\"abc\"", "Sun, 29 Nov 2026 10:00:00 GMT", "abc"] {
            assert_eq!(of(other), Wanted::Whole, "{other}");
        }
    }

    #[test]
    fn what_is_known_is_told_by_its_tag() {
        for known in [ETAG, "W/\"abc\"", "\"x\", \"abc\"", "*"] {
            assert!(is_known(&headers(&[("if-none-match", known)]), ETAG), "{known}");
        }
        assert!(is_known(&headers(&[("if-none-match", "\"x\""), ("if-none-match", ETAG)]), ETAG));
        assert!(!is_known(&headers(&[("if-none-match", "\"x\"")]), ETAG) && !is_known(&headers(&[]), ETAG));
    }

    #[test]
    fn a_request_says_once_to_whom_it_goes() {
        let check = |version, lines: &[(&'static str, &str)]| check_host(version, &headers(lines)).is_ok();
        for host in ["x", "x:80", "127.0.0.1:8080", "[::1]:80", "data.example"] {
            assert!(check(Version::HTTP_11, &[("host", host)]), "{host}");
        }
        for host in ["", "a b", "user@x", "x/y", "a;rm"] {
            assert_eq!(check(Version::HTTP_11, &[("host", host)]), host == "a;rm", "{host}");
        }
        assert!(check(Version::HTTP_10, &[]) && !check(Version::HTTP_11, &[]));
        let twice = [("host", "x"), ("host", "x")];
        assert!(!check(Version::HTTP_11, &twice) && !check(Version::HTTP_10, &twice));
    }
}
