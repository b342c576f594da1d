use nodedata_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::{
    gate::AuditHead,
    record::{from_bytes, to_canonical},
    trust::{
        dsse::Envelope,
        key::{PublicKey, SecretKey},
    },
};

const PAYLOAD_TYPE: &str = "application/vnd.nodedata.audit-head+json";

/// Where the audit log of a server ends, at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditStatement {
    /// `audit-head/1`.
    pub nd: String,
    /// Name of the server's database.
    pub server: String,
    /// When, UTC.
    pub at: String,
    /// How many lines there are, and the hash of the last.
    #[serde(flatten)]
    pub head: AuditHead,
}

/// The same, signed by the server: whoever keeps it sees later whether the log was cut or written anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedAuditHead {
    /// The statement, in a DSSE envelope.
    #[serde(flatten)]
    pub envelope: Envelope,
    /// The key that made the signature, SPKI in PEM. It is believed by nobody who has it from elsewhere.
    #[serde(rename = "publicKey")]
    pub public_key: String,
}

impl SignedAuditHead {
    /// Signs where a log ends.
    ///
    /// # Errors
    /// `Unsupported` when the key cannot be written as PEM.
    pub fn sign(server: &str, at: String, head: AuditHead, key: &SecretKey) -> Result<Self> {
        let statement = AuditStatement { nd: "audit-head/1".to_owned(), server: server.to_owned(), at, head };
        let envelope = Envelope::signed(PAYLOAD_TYPE, &to_canonical(&statement)?, key);
        Ok(Self { envelope, public_key: key.public().to_pem()? })
    }

    /// Reads what [`Self::to_bytes`] wrote. Nothing is verified.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        from_bytes("signed head of an audit log", bytes)
    }

    /// As it is kept.
    ///
    /// # Errors
    /// Never in practice: it holds text and whole numbers.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        to_canonical(self)
    }

    /// What it says, if `trusted` has signed it; without one, its own key, which only shows that nothing changed on the way.
    ///
    /// # Errors
    /// `Corrupt` when the signature does not hold, or says something else.
    pub fn verify(&self, trusted: Option<&PublicKey>) -> Result<AuditStatement> {
        let key = match trusted {
            Some(key) => key.clone(),
            None => PublicKey::from_pem(&self.public_key)?,
        };
        let (payload, _) = self.envelope.opened(PAYLOAD_TYPE, &[key])?;
        let statement: AuditStatement = from_bytes("signed head of an audit log", &payload)?;
        if statement.nd != "audit-head/1" {
            let message = format!("the head has the version {}", statement.nd);
            return Err(Error::new(ErrorKind::Corrupt, message).with_hint("use a newer node-data"));
        }
        Ok(statement)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::B3;

    #[test]
    fn a_head_is_believed_for_its_key_only() {
        let (key, other) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
        let head = AuditHead { next_seq: 7, last: Some(B3::of(b"line")) };
        let signed = SignedAuditHead::sign("s", "t".to_owned(), head.clone(), &key).unwrap();
        let read = SignedAuditHead::parse(&signed.to_bytes().unwrap()).unwrap();
        assert_eq!(read, signed);
        assert_eq!(read.verify(Some(&key.public())).unwrap().head, head);
        assert_eq!(read.verify(None).unwrap().server, "s");
        assert_eq!(read.verify(Some(&other.public())).unwrap_err().kind(), ErrorKind::Corrupt);
        // Fewer lines under the old signature.
        let cut = SignedAuditHead::sign("s", "t".to_owned(), AuditHead::default(), &other).unwrap();
        let mut forged = signed;
        forged.envelope.payload.clone_from(&cut.envelope.payload);
        assert!(forged.verify(Some(&key.public())).is_err() && forged.verify(None).is_err());
        // A key of the forger's own convinces nobody who has the server's.
        assert!(cut.verify(None).is_ok() && cut.verify(Some(&key.public())).is_err());
    }
}
