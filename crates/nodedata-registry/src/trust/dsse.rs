use base64::{Engine as _, engine::general_purpose::STANDARD};
use nodedata_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    digest::B3,
    name::DatasetName,
    record::{from_bytes, to_canonical},
    trust::key::{PublicKey, SecretKey},
};

const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const PREDICATE: &str = "urn:nodedata:revision:1";

/// A DSSE envelope: a document, and who signed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// What the payload is.
    pub payload_type: String,
    /// The document, in base64.
    pub payload: String,
    /// Who signed it.
    pub signatures: Vec<EnvelopeSignature>,
}

/// One signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvelopeSignature {
    /// See [`PublicKey::id`].
    pub keyid: String,
    /// 64 bytes in base64.
    pub sig: String,
}

/// What a signature of a revision says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionStatement {
    /// Which dataset.
    pub dataset: DatasetName,
    /// Which revision.
    pub revision: String,
    /// Digest of its manifest, which names everything else.
    pub manifest: B3,
}

/// A signature that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Name of the key that made it.
    pub keyid: String,
}

impl RevisionStatement {
    fn to_value(&self) -> Value {
        json!({
            "_type": STATEMENT,
            "subject": [{
                "name": format!("{}@{}", self.dataset, self.revision),
                "digest": {"blake3": self.manifest.hex()},
            }],
            "predicateType": PREDICATE,
            "predicate": {"dataset": self.dataset, "revision": self.revision},
        })
    }
}

/// Signs a revision.
///
/// # Errors
/// Never in practice: the statement holds text only.
pub fn sign_revision(statement: &RevisionStatement, key: &SecretKey) -> Result<Envelope> {
    Ok(Envelope::signed(PAYLOAD_TYPE, &to_canonical(&statement.to_value())?, key))
}

/// Checks an envelope against a revision and the keys that are trusted; says by which it was signed.
///
/// # Errors
/// `Corrupt` when it is no such envelope, when it signs something else, or when none of the keys made it.
pub fn verify_revision(bytes: &[u8], expected: &RevisionStatement, trusted: &[PublicKey]) -> Result<Signed> {
    let envelope = Envelope::about(bytes, expected)?;
    let payload = STANDARD.decode(&envelope.payload).map_err(|err| malformed().with_source(err))?;
    envelope.signer(&payload, trusted)
}

impl Envelope {
    /// A document of a type, signed.
    pub(super) fn signed(payload_type: &str, payload: &[u8], key: &SecretKey) -> Self {
        let sig = key.sign(&signed_bytes(payload_type, payload));
        Self {
            payload_type: payload_type.to_owned(),
            payload: STANDARD.encode(payload),
            signatures: vec![EnvelopeSignature { keyid: key.public().id(), sig: STANDARD.encode(sig) }],
        }
    }

    /// The document, if it is of that type and one of the keys has signed it.
    ///
    /// # Errors
    /// `Corrupt`.
    pub(super) fn opened(&self, payload_type: &str, trusted: &[PublicKey]) -> Result<(Vec<u8>, Signed)> {
        let other = || {
            Error::new(ErrorKind::Corrupt, format!("this is no signed document of the type {payload_type}"))
        };
        if self.payload_type != payload_type {
            return Err(other());
        }
        let payload = STANDARD.decode(&self.payload).map_err(|err| other().with_source(err))?;
        let signed = self.signer(&payload, trusted)?;
        Ok((payload, signed))
    }

    fn signer(&self, payload: &[u8], trusted: &[PublicKey]) -> Result<Signed> {
        let signed = signed_bytes(&self.payload_type, payload);
        for signature in &self.signatures {
            let Ok(sig) = STANDARD.decode(&signature.sig) else { continue };
            // Whatever name it gives: the keys decide.
            if let Some(key) = trusted.iter().find(|it| it.verifies(&signed, &sig)) {
                return Ok(Signed { keyid: key.id() });
            }
        }
        let names: Vec<&str> = self.signatures.iter().map(|it| it.keyid.as_str()).collect();
        let message = format!("no trusted key made the signature of {}", names.join(", "));
        Err(Error::new(ErrorKind::Corrupt, message).with_hint("name the signer's public key with `--key`"))
    }

    /// Reads an envelope and checks, without any key, that it is about `expected`.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn about(bytes: &[u8], expected: &RevisionStatement) -> Result<Self> {
        let envelope: Self = from_bytes("DSSE envelope", bytes)?;
        if envelope.payload_type != PAYLOAD_TYPE || envelope.signatures.is_empty() {
            return Err(malformed());
        }
        let payload = STANDARD.decode(&envelope.payload).map_err(|err| malformed().with_source(err))?;
        let found: Value = from_bytes("signed statement", &payload)?;
        if found != expected.to_value() {
            let subject =
                found.pointer("/subject/0/name").and_then(Value::as_str).unwrap_or("something else");
            let message = format!(
                "the signature is about `{subject}`, not about {}@{} with the manifest {}",
                expected.dataset, expected.revision, expected.manifest
            );
            return Err(Error::new(ErrorKind::Corrupt, message)
                .with_hint("sign this revision with `node-data dataset sign`"));
        }
        Ok(envelope)
    }

    /// The envelope's bytes.
    ///
    /// # Errors
    /// Never in practice: it holds text only.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        to_canonical(self)
    }
}

/// DSSE's pre-authentication encoding.
fn signed_bytes(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    bytes.extend(payload);
    bytes
}

fn malformed() -> Error {
    Error::new(ErrorKind::Corrupt, "this is no DSSE envelope with an in-toto statement")
        .with_hint("`node-data dataset sign` makes one")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement() -> RevisionStatement {
        RevisionStatement {
            dataset: "acme/x".parse().unwrap(),
            revision: "1.2.0".to_owned(),
            manifest: B3::of(b"manifest"),
        }
    }

    #[test]
    fn the_encoding_is_the_one_of_the_specification() {
        let bytes = signed_bytes("http://example.com/HelloWorld", b"hello world");
        assert_eq!(bytes, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    #[test]
    fn a_signature_holds_for_its_revision_and_key_only() {
        let (key, other) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
        let bytes = sign_revision(&statement(), &key).unwrap().to_bytes().unwrap();
        let trusted = [other.public(), key.public()];
        assert_eq!(verify_revision(&bytes, &statement(), &trusted).unwrap().keyid, key.public().id());
        let cases = [
            verify_revision(&bytes, &statement(), &[other.public()]),
            verify_revision(&bytes, &statement(), &[]),
            verify_revision(&bytes, &RevisionStatement { manifest: B3::of(b"y"), ..statement() }, &trusted),
            verify_revision(
                &bytes,
                &RevisionStatement { revision: "1.2.1".to_owned(), ..statement() },
                &trusted,
            ),
            verify_revision(b"{}", &statement(), &trusted),
        ];
        for case in cases {
            assert_eq!(case.unwrap_err().kind(), ErrorKind::Corrupt);
        }
    }

    #[test]
    fn no_byte_of_an_envelope_can_change() {
        let key = SecretKey::generate().unwrap();
        let bytes = sign_revision(&statement(), &key).unwrap().to_bytes().unwrap();
        let keyid = key.public().id();
        let text = String::from_utf8(bytes.clone()).unwrap();
        let unsigned = text.find(&keyid).unwrap()..text.find(&keyid).unwrap() + keyid.len();
        for idx in (0..bytes.len()).filter(|it| !unsigned.contains(it)) {
            let mut changed = bytes.clone();
            changed[idx] ^= 1;
            assert!(verify_revision(&changed, &statement(), &[key.public()]).is_err(), "byte {idx}");
        }
    }
}
