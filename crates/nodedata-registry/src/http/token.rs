use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nodedata_core::{Error, ErrorKind, Result};

/// What every token begins with, so that scanners find leaked ones.
const PREFIX: &str = "ndp_";

/// A secret that opens a server: `ndp_` and 256 random bits. Nothing prints it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A fresh one.
    ///
    /// # Errors
    /// `Io` when the system has no randomness to give.
    pub fn generate() -> Result<Self> {
        let mut bits = [0; 32];
        getrandom::fill(&mut bits)
            .map_err(|err| Error::new(ErrorKind::Io, "the system gives no randomness").with_source(err))?;
        Ok(Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bits))))
    }

    /// Reads one.
    ///
    /// # Errors
    /// `Config`. What was given is not in the message.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let bits = text.strip_prefix(PREFIX).and_then(|it| URL_SAFE_NO_PAD.decode(it).ok());
        if bits.is_some_and(|it| it.len() == 32) {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::new(ErrorKind::Config, format!("this is no token: those begin with `{PREFIX}`"))
            .with_hint("the server's operator makes one with `node-data serve --new-token ACCOUNT`"))
    }

    /// The secret itself, for whoever it is handed to.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What a server keeps of it.
    pub fn hash(&self) -> [u8; 32] {
        blake3::derive_key("nodedata token v1", self.0.as_bytes())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_random_and_not_printed() {
        let (one, other) = (Token::generate().unwrap(), Token::generate().unwrap());
        assert_ne!(one, other);
        assert_ne!(one.hash(), other.hash());
        assert_eq!(Token::parse(&format!(" {}\n", one.reveal())).unwrap(), one);
        assert!(!format!("{one:?}").contains(&one.reveal()[4..]));
        let short = &one.reveal()[..20];
        let err = Token::parse(short).unwrap_err();
        assert!(!err.chain().contains(short) && err.kind() == ErrorKind::Config);
    }
}
