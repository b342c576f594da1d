use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nodedata_core::{Error, ErrorKind, Result};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;
use serde_json::Value;

/// Keys of an issuer that are looked at; more are left alone.
const KEYS_MAX: usize = 100;

/// How a token is signed. There are no others: neither none, nor a secret that both sides know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Rs256,
    Es256,
}

impl Algorithm {
    /// The one that a header names (RFC 7518, 3.1).
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }
}

/// The public keys of an issuer that tokens are verified with (RFC 7517). What else is in the document, such as keys for
/// encryption and of kinds that we do not take, is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeySet(Vec<Key>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    kid: Option<String>,
    public: Public,
}

/// A key is of one kind, and verifies that kind alone.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Public {
    /// Modulus and exponent, big-endian.
    Rsa(Vec<u8>, Vec<u8>),
    /// A point, not compressed.
    P256(Vec<u8>),
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads what an issuer publishes.
    ///
    /// # Errors
    /// `Corrupt` for what is no such document, or has no key that can be used.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        let document: Document = serde_json::from_slice(bytes).map_err(|err| {
            Error::new(ErrorKind::Corrupt, "the issuer's keys cannot be read").with_source(err)
        })?;
        let keys = document.keys.into_iter().take(KEYS_MAX);
        let keys: Vec<Key> = keys.filter_map(|it| Key::of(serde_json::from_value(it).ok()?)).collect();
        if keys.is_empty() {
            let err = Error::new(ErrorKind::Corrupt, "the issuer has no key for RS256 or ES256");
            return Err(err.with_hint("let it sign identity tokens with one of these"));
        }
        Ok(Self(keys))
    }

    /// Whether there is a key that a token with this header may be signed with.
    pub(crate) fn has(&self, algorithm: Algorithm, kid: Option<&str>) -> bool {
        !self.candidates(algorithm, kid).is_empty()
    }

    /// Whether a key of the set has signed the bytes.
    pub(crate) fn verify(
        &self,
        algorithm: Algorithm,
        kid: Option<&str>,
        signed: &[u8],
        signature: &[u8],
    ) -> bool {
        self.candidates(algorithm, kid).into_iter().any(|it| it.verify(signed, signature))
    }

    /// The keys of a kind with a name. A token that names none is taken only where there is one key for it, so that nobody's
    /// choice of keys is tried.
    fn candidates(&self, algorithm: Algorithm, kid: Option<&str>) -> Vec<&Public> {
        let of_kind = self.0.iter().filter(|it| it.public.algorithm() == algorithm);
        let named: Vec<&Public> = match kid {
            Some(kid) => of_kind.filter(|it| it.kid.as_deref() == Some(kid)).map(|it| &it.public).collect(),
            None => of_kind.map(|it| &it.public).collect(),
        };
        if kid.is_none() && named.len() > 1 { Vec::new() } else { named }
    }
}

impl Key {
    /// `None` for what signs nothing that is taken.
    fn of(jwk: Jwk) -> Option<Self> {
        let bytes = |text: Option<&String>| URL_SAFE_NO_PAD.decode(text?).ok();
        if jwk.usage.as_deref().is_some_and(|it| it != "sig") {
            return None;
        }
        let public = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => {
                let modulus: Vec<u8> = bytes(jwk.n.as_ref())?.into_iter().skip_while(|it| *it == 0).collect();
                Public::Rsa(modulus, bytes(jwk.e.as_ref())?)
            }
            ("EC", Some("P-256")) => {
                let (x, y) = (bytes(jwk.x.as_ref())?, bytes(jwk.y.as_ref())?);
                if x.len() != 32 || y.len() != 32 {
                    return None;
                }
                Public::P256([vec![4], x, y].concat())
            }
            _ => return None,
        };
        let is_for_it = jwk.alg.as_deref().is_none_or(|it| it == public.algorithm().name());
        is_for_it.then_some(Self { kid: jwk.kid, public })
    }
}

impl Public {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa(..) => Algorithm::Rs256,
            Self::P256(_) => Algorithm::Es256,
        }
    }

    fn verify(&self, signed: &[u8], signature: &[u8]) -> bool {
        match self {
            // Below 2048 bits it refuses.
            Self::Rsa(n, e) => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature).is_ok()
            }
            Self::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, signature).is_ok()
            }
        }
    }
}
