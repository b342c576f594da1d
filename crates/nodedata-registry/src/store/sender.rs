use crate::digest::B3;

/// Who sends the parts of an upload. Parts of one sender are never mixed with those of another, nor seen by them. The default
/// is whoever writes to the store without a server.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sender(Option<String>);

impl Sender {
    /// A push of an account of a server.
    pub fn of(account: &str, push: &str) -> Self {
        // Accounts and pushes are no names of files; neither holds a line break.
        let hex = B3::of(format!("{account}\n{push}").as_bytes()).hex();
        Self(Some(hex[..32].to_owned()))
    }

    /// As the names of its files say it.
    pub fn name(&self) -> Option<&str> {
        self.0.as_deref()
    }
}
