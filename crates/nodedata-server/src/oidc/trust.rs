//! Which tokens of other issuers than the one for people are exchanged, for whom: those of CI.

use std::{collections::BTreeMap, io::Read as _, path::Path};

use nodedata_core::{Error, ErrorKind, Locus, Result};
use nodedata_io::io_error;
use nodedata_registry::http::IssuerUrl;
use serde::Deserialize;

use crate::{oidc::jwt::Claims, principal::Scope, roles::check_name};

/// Longest file of rules, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Tokens of an issuer that say certain things stand for an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustRule {
    pub(crate) issuer: IssuerUrl,
    /// Whom a token must be for.
    pub(crate) audience: String,
    /// What it must say, each as it is.
    claims: BTreeMap<String, String>,
    pub(crate) account: String,
    pub(crate) scopes: Vec<Scope>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    issuer: String,
    audience: String,
    claims: BTreeMap<String, String>,
    account: String,
    scopes: Vec<String>,
}

impl TrustRule {
    /// Reads a file of rules: a list in YAML, of which JSON is a part.
    ///
    /// # Errors
    /// `Config` for what is none, with its place; `Io`.
    pub fn read(path: &Path) -> Result<Vec<Self>> {
        let failed = |err| io_error("cannot read the rules of trust", path, err);
        let file = std::fs::OpenOptions::new().read(true).open(path).map_err(failed)?;
        let mut text = String::new();
        file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
        Self::parse(&text).map_err(|err| err.at(Locus::path(path)))
    }

    fn parse(text: &str) -> Result<Vec<Self>> {
        let refused = |message: String| Error::new(ErrorKind::Config, message).with_hint(HINT);
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(refused(format!("the rules have more than {FILE_BYTES_MAX} bytes")));
        }
        let options = serde_saphyr::options! { strict_booleans: true };
        let written: Vec<Written> = serde_saphyr::from_str_with_options(text, options).map_err(|err| {
            let place = err.location().map(|it| {
                let number = |it: u64| u32::try_from(it).unwrap_or(u32::MAX);
                (number(it.line()), number(it.column()))
            });
            let cause = err.without_snippet().to_string();
            let cause = cause.split(" at line ").next().unwrap_or_default();
            let cause = cause.lines().next().unwrap_or_default().trim().trim_end_matches('.');
            refused(format!("these are no rules of trust: {cause}"))
                .at(Locus { line_column: place, ..Locus::default() })
        })?;
        if written.is_empty() {
            return Err(refused("there is no rule".to_owned()));
        }
        let rules = written.into_iter().enumerate().map(|(idx, it)| {
            let number = idx + 1;
            Self::of(it).map_err(|err| {
                let hint = err.hint().unwrap_or(HINT).to_owned();
                Error::new(err.kind(), format!("rule {number}: {err}")).with_hint(hint)
            })
        });
        rules.collect()
    }

    fn of(written: Written) -> Result<Self> {
        let refused = |message: &str| Err(Error::new(ErrorKind::Config, message).with_hint(HINT));
        let Written { issuer, audience, claims, account, scopes } = written;
        let issuer = IssuerUrl::parse(&issuer)?;
        check_name(&account)?;
        if audience.is_empty() {
            return refused("the audience is empty, so that tokens for anybody else would do");
        }
        if claims.is_empty() {
            return refused("there are no claims, so that everybody at the issuer would be let in");
        }
        if claims.iter().any(|(name, value)| name.is_empty() || value.is_empty()) {
            return refused("a claim has no name or no value");
        }
        if scopes.is_empty() {
            return refused("there are no scopes, so that the token may do nothing");
        }
        let scopes = scopes.iter().map(|it| it.parse()).collect::<Result<Vec<Scope>>>()?;
        Ok(Self { issuer, audience, claims, account, scopes })
    }

    /// Whether verified claims of the rule's issuer are what it asks for.
    pub(crate) fn takes(&self, claims: &Claims) -> bool {
        let says = |(name, value): (&String, &String)| claims.text(name) == Some(value.as_str());
        claims.audiences().contains(&self.audience.as_str()) && self.claims.iter().all(says)
    }
}

const HINT: &str = "write a list of mappings with `issuer`, `audience`, `claims`, `account` and `scopes`";

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "- issuer: https://ci.example
  audience: https://data.example
  claims: {repository: acme/robots, ref: refs/heads/main}
  account: acme
  scopes: ['publish:acme/*', read]
";

    #[test]
    fn rules_are_read_and_mistakes_have_a_place() {
        let rules = TrustRule::parse(GOOD).unwrap();
        assert_eq!((rules.len(), rules[0].account.as_str(), rules[0].scopes.len()), (1, "acme", 2));
        let json = r#"[{"issuer": "https://ci.example", "audience": "https://data.example", "account": "acme",
            "claims": {"repository": "acme/robots", "ref": "refs/heads/main"}, "scopes": ["publish:acme/*", "read"]}]"#;
        assert_eq!(TrustRule::parse(json).unwrap(), rules);
        let unknown = TrustRule::parse(&GOOD.replace("account", "acount")).unwrap_err();
        assert!(unknown.locus().line_column.is_some() && unknown.chain().contains("acount"), "{unknown}");
        for (from, to, why) in [
            ("https://ci.example", "http://ci.example", "no address that can be trusted"),
            ("account: acme", "account: Acme Inc", "rule 1"),
            ("{repository: acme/robots, ref: refs/heads/main}", "{}", "everybody at the issuer"),
            ("refs/heads/main", "''", "no value"),
            ("audience: https://data.example", "audience: ''", "audience is empty"),
            ("['publish:acme/*', read]", "[]", "no scopes"),
            ("publish:acme/*", "write:acme/*", "is no scope"),
        ] {
            let changed = GOOD.replace(from, to);
            assert_ne!(changed, GOOD, "{from}");
            let err = TrustRule::parse(&changed).unwrap_err();
            assert!(err.kind() == ErrorKind::Config && err.chain().contains(why), "{why}: {}", err.chain());
            assert!(err.hint().is_some(), "{why}");
        }
        assert!(TrustRule::parse("[]").is_err() && TrustRule::parse(&" ".repeat(2 << 20)).is_err());
    }
}
