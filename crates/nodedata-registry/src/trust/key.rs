use std::fmt;

use ed25519_dalek::{
    Signature, Signer as _, SigningKey, VerifyingKey,
    pkcs8::{
        DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _,
        KeypairBytes, spki::der::pem::LineEnding,
    },
};
use nodedata_core::{Error, ErrorKind, Result};

use crate::digest::B3;

/// Longest text that is read as a key.
pub const KEY_TEXT_BYTES_MAX: u64 = 16 << 10;

/// An Ed25519 key that signs. Nothing prints it.
pub struct SecretKey(SigningKey);

/// An Ed25519 key that checks signatures.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl SecretKey {
    /// A fresh key.
    ///
    /// # Errors
    /// `Io` when the system has no randomness to give.
    pub fn generate() -> Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)
            .map_err(|err| Error::new(ErrorKind::Io, "the system gives no randomness").with_source(err))?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// Reads PKCS #8 in PEM, as [`Self::to_pem`] and OpenSSL write it.
    ///
    /// # Errors
    /// `Config`. The text is in no message.
    pub fn from_pem(text: &str) -> Result<Self> {
        SigningKey::from_pkcs8_pem(text).map(Self).map_err(|_| {
            Error::new(ErrorKind::Config, "this is no Ed25519 secret key in PEM")
                .with_hint("`node-data dataset keygen` makes one")
        })
    }

    /// PKCS #8 in PEM.
    ///
    /// # Errors
    /// `Unsupported` when it cannot be encoded.
    pub fn to_pem(&self) -> Result<String> {
        // Without the public half, which older programs do not read.
        let pair = KeypairBytes { secret_key: self.0.to_bytes(), public_key: None };
        let text = pair.to_pkcs8_pem(LineEnding::LF).map_err(|_| not_encoded())?;
        Ok(text.to_string())
    }

    /// The other half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub(super) fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.0.sign(bytes).to_bytes()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SecretKey").field(&self.public().id()).finish()
    }
}

impl PublicKey {
    /// Reads SPKI in PEM, as [`Self::to_pem`] and OpenSSL write it.
    ///
    /// # Errors
    /// `Config`.
    pub fn from_pem(text: &str) -> Result<Self> {
        VerifyingKey::from_public_key_pem(text).map(Self).map_err(|err| {
            Error::new(ErrorKind::Config, "this is no Ed25519 public key in PEM")
                .with_source(err.to_string())
                .with_hint("use the `.pub.pem` file that `node-data dataset keygen` wrote")
        })
    }

    /// SPKI in PEM.
    ///
    /// # Errors
    /// `Unsupported` when it cannot be encoded.
    pub fn to_pem(&self) -> Result<String> {
        self.0.to_public_key_pem(LineEnding::LF).map_err(|_| not_encoded())
    }

    /// `ed25519:` and the first 16 hex digits of the key's BLAKE3: what signatures name it by. Only a name: a
    /// key is trusted because somebody hands it over, never because its name fits.
    pub fn id(&self) -> String {
        format!("ed25519:{}", &B3::of(self.0.as_bytes()).hex()[..16])
    }

    pub(super) fn verifies(&self, bytes: &[u8], signature: &[u8]) -> bool {
        // Strict: no key and no signature of small order.
        Signature::from_slice(signature).is_ok_and(|it| self.0.verify_strict(bytes, &it).is_ok())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.id()).finish()
    }
}

fn not_encoded() -> Error {
    Error::new(ErrorKind::Unsupported, "the key cannot be written as PEM")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_written_and_never_printed() {
        let key = SecretKey::generate().unwrap();
        let pem = key.to_pem().unwrap();
        assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----"));
        let again = SecretKey::from_pem(&pem).unwrap();
        assert_eq!(again.public(), key.public());
        let public = PublicKey::from_pem(&key.public().to_pem().unwrap()).unwrap();
        assert_eq!(public, key.public());
        let secret: String = pem.lines().skip(1).take(1).collect();
        assert!(!format!("{key:?}").contains(&secret));
        let err = SecretKey::from_pem(&pem.replace("PRIVATE", "PUBLIC")).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Config);
        assert!(!err.chain().contains(&secret));
        assert!(PublicKey::from_pem(&pem).is_err());
    }
}
