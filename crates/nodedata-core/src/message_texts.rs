use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// One message definition that a user gave.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MessageText {
    /// The type, such as `pkg/msg/Name`, `pkg/srv/Name` or `pkg/action/Name`.
    pub name: String,
    /// Whether the text is OMG IDL.
    pub is_idl: bool,
    /// The text.
    pub text: String,
}

/// The message definitions that a user gave, for topics that have none.
///
/// They are texts and not paths, because formats do no I/O of their own and because a text decides rows and its place does
/// not: whoever takes the option reads the files. A recipe holds the digest of all texts alone; read back from one, the
/// texts are missing ([`Self::lacks_texts`]) until whoever runs the recipe gives them again.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "Option<String>", into = "Option<String>")]
pub struct MessageTexts {
    digest: Option<String>,
    texts: Arc<[MessageText]>,
}

impl MessageTexts {
    /// These definitions, each once and in an order of their own.
    pub fn new(mut texts: Vec<MessageText>) -> Self {
        texts.sort();
        texts.dedup();
        if texts.is_empty() {
            return Self::default();
        }
        let mut hasher = blake3::Hasher::new();
        for it in &texts {
            let kind: &[u8] = if it.is_idl { b"idl" } else { b"msg" };
            for part in [it.name.as_bytes(), kind, it.text.as_bytes()] {
                // The length in front keeps ("ab", "c") apart from ("a", "bc").
                hasher.update(&(part.len() as u64).to_le_bytes());
                hasher.update(part);
            }
        }
        Self { digest: Some(format!("b3:{}", hasher.finalize().to_hex())), texts: texts.into() }
    }

    /// The texts.
    pub fn texts(&self) -> &[MessageText] {
        &self.texts
    }

    /// Whether they are known by their digest alone.
    pub fn lacks_texts(&self) -> bool {
        self.digest.is_some() && self.texts.is_empty()
    }
}

/// The same digest is the same definitions.
impl PartialEq for MessageTexts {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl From<Option<String>> for MessageTexts {
    fn from(digest: Option<String>) -> Self {
        Self { digest, texts: Arc::default() }
    }
}

impl From<MessageTexts> for Option<String> {
    fn from(texts: MessageTexts) -> Self {
        texts.digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str, text: &str) -> MessageText {
        MessageText { name: name.to_owned(), is_idl: false, text: text.to_owned() }
    }

    #[test]
    fn the_texts_decide_and_not_their_order() {
        let (a, b) = (text("lab/msg/A", "int8 x"), text("lab/msg/B", "int8 y"));
        let one = MessageTexts::new(vec![a.clone(), b.clone()]);
        assert_eq!(one, MessageTexts::new(vec![b.clone(), a.clone(), b]));
        assert_eq!(one.texts().len(), 2);
        assert_ne!(one, MessageTexts::new(vec![a]));
        assert_ne!(one, MessageTexts::default());
        assert_eq!(MessageTexts::new(Vec::new()), MessageTexts::default());
    }

    #[test]
    fn a_recipe_knows_them_by_their_digest() {
        let texts = MessageTexts::new(vec![text("lab/msg/A", "int8 x")]);
        let digest = Option::<String>::from(texts.clone());
        assert!(digest.as_ref().is_some_and(|it| it.starts_with("b3:") && it.len() == 67), "{digest:?}");
        let read = MessageTexts::from(digest);
        assert_eq!(read, texts);
        assert!(read.lacks_texts() && !texts.lacks_texts() && !MessageTexts::default().lacks_texts());
    }
}
