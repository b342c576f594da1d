use std::fmt;

use nodedata_core::{Error, ErrorKind, Result, nearest};
use semver::{Version, VersionReq};

use crate::{
    digest::B3,
    name::DatasetName,
    state::{DatasetState, LATEST, RevisionEntry},
};

/// `owner/name@…`: which revision of which dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Which dataset.
    pub dataset: DatasetName,
    /// Which revision of it.
    pub selector: Selector,
}

/// Which revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// `@1.2.0`.
    Version(Version),
    /// `@^1.2`, `@~1.2`, `@>=1.0, <2.0`: the highest that fits.
    Range(VersionReq),
    /// `@b3:…`: by the digest of the manifest.
    Manifest(B3),
    /// `@seq:7`: by the number of its record.
    Seq(u64),
    /// `@latest` or another tag. What is meant when nothing is said.
    Tag(String),
}

impl Reference {
    /// Reads `owner/name@selector`; the owner and the selector may be missing.
    ///
    /// # Errors
    /// `Config` when it is none.
    pub fn parse(text: &str, default_owner: &str) -> Result<Self> {
        let (name, selector) = match text.split_once('@') {
            None => (text, Selector::Tag(LATEST.to_owned())),
            Some((name, selector)) => (name, Selector::parse(selector)?),
        };
        Ok(Self { dataset: DatasetName::parse(name, default_owner)?, selector })
    }

    /// The revision it means.
    ///
    /// # Errors
    /// `Config` when there is none, or when a tag or a range means only withdrawn ones.
    pub fn resolve<'a>(&self, state: &'a DatasetState) -> Result<&'a RevisionEntry> {
        let all = || state.revisions.iter();
        let usable = || all().filter(|it| it.withdrawn.is_none());
        let highest = |req: &VersionReq| {
            let fitting = usable().filter_map(|it| Some((Version::parse(&it.revision).ok()?, it)));
            fitting.filter(|(version, _)| req.matches(version)).max_by(|a, b| a.0.cmp(&b.0)).map(|(_, it)| it)
        };
        let found = match &self.selector {
            Selector::Version(version) => state.revision(&version.to_string()),
            Selector::Range(req) => highest(req),
            Selector::Manifest(b3) => all().find(|it| it.manifest == *b3),
            // Numbers begin anew under another name: of equals the newest is meant.
            Selector::Seq(seq) => all().rev().find(|it| it.seq == *seq),
            Selector::Tag(tag) => {
                let tagged = state.tags.get(tag).and_then(|it| state.revision(it));
                match tagged {
                    // `latest` follows what may be used.
                    Some(it) if it.withdrawn.is_some() && tag == LATEST => usable().next_back(),
                    it => it,
                }
            }
        };
        found.ok_or_else(|| self.unresolved(state))
    }

    fn unresolved(&self, state: &DatasetState) -> Error {
        let all = || state.revisions.iter().rev().map(|it| it.revision.as_str());
        let is_latest = matches!(&self.selector, Selector::Tag(tag) if tag == LATEST);
        if is_latest && let Some(newest) = all().next() {
            let hint = format!("`{}@{newest}` names one all the same", self.dataset);
            return Error::new(
                ErrorKind::Config,
                format!("every revision of `{}` is withdrawn", self.dataset),
            )
            .with_hint(format!("{hint}; `node-data dataset log` says why they are"));
        }
        let near = match &self.selector {
            // Between numbers, near in letters says nothing about what was meant.
            Selector::Tag(tag) => nearest(tag, state.tags.keys().map(String::as_str).chain(all())),
            _ => None,
        };
        let known: Vec<&str> = all().take(5).collect();
        let hint = match (near, known.as_slice()) {
            (Some(near), _) => format!("did you mean `{}@{near}`?", self.dataset),
            (None, []) => "nothing has been published: `node-data dataset push` does".to_owned(),
            (None, known) => {
                format!("the newest are {}; `node-data dataset log` lists all", known.join(", "))
            }
        };
        Error::new(ErrorKind::Config, format!("`{self}` is no revision")).with_hint(hint)
    }
}

impl Selector {
    /// Reads what stands behind the `@`.
    ///
    /// # Errors
    /// `Config`.
    pub fn parse(text: &str) -> Result<Self> {
        let refused = || {
            Error::new(ErrorKind::Config, format!("`{text}` names no revision"))
                .with_hint("write `@1.2.0`, `@latest`, `@^1.2`, `@b3:DIGEST`, `@seq:7` or a tag")
        };
        if text.starts_with("b3:") {
            return text.parse().map(Self::Manifest).map_err(|err: Error| refused().with_source(err));
        }
        if let Some(seq) = text.strip_prefix("seq:") {
            return seq.parse().map(Self::Seq).map_err(|err| refused().with_source(err));
        }
        if let Ok(version) = Version::parse(text) {
            return Ok(Self::Version(version));
        }
        if is_tag(text) {
            return Ok(Self::Tag(text.to_owned()));
        }
        VersionReq::parse(text).map(Self::Range).map_err(|err| refused().with_source(err))
    }
}

/// Whether a text may be a tag: letters, digits, `.`, `_` and `-`, beginning with a letter, so that it is
/// never taken for a number.
pub fn is_tag(text: &str) -> bool {
    let is_letter = |it: char| it.is_ascii_alphanumeric() || matches!(it, '.' | '_' | '-');
    text.starts_with(|it: char| it.is_ascii_alphabetic()) && text.len() <= 64 && text.chars().all(is_letter)
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@", self.dataset)?;
        match &self.selector {
            Selector::Version(version) => write!(f, "{version}"),
            Selector::Range(req) => write!(f, "{req}"),
            Selector::Manifest(b3) => write!(f, "{b3}"),
            Selector::Seq(seq) => write!(f, "seq:{seq}"),
            Selector::Tag(tag) => f.write_str(tag),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_written_back() {
        let digest = B3::of(b"x").to_string();
        for text in ["acme/x@1.2.0", "acme/x@latest", "acme/x@^1.2", "acme/x@seq:7", "acme/x@>=1.0.0, <2.0.0"]
        {
            assert_eq!(Reference::parse(text, "me").unwrap().to_string(), text);
        }
        let by_digest = Reference::parse(&format!("x@{digest}"), "me").unwrap();
        assert_eq!(by_digest.to_string(), format!("me/x@{digest}"));
        assert_eq!(Reference::parse("x", "me").unwrap().to_string(), "me/x@latest");
        for bad in ["x@", "x@b3:12", "x@seq:x", "x@!!", "x@1.2.0@3", "X@1.0.0"] {
            assert_eq!(Reference::parse(bad, "me").unwrap_err().kind(), ErrorKind::Config, "{bad}");
        }
    }
}
