use std::collections::VecDeque;

use bytes::Bytes;

/// The media that stand in the place of the references of one message, in the order in which it names them: whoever decodes
/// the message reads no files of its own. See [`super::texts_at`].
#[derive(Debug, Default)]
pub struct RowMedia(VecDeque<(String, Option<Bytes>)>);

impl RowMedia {
    /// Adds the medium of the next reference; `None` where it is to be null.
    pub fn push(&mut self, reference: String, medium: Option<Bytes>) {
        self.0.push_back((reference, medium));
    }

    /// The medium of the next reference, which must be this one.
    pub(super) fn take(&mut self, reference: &str) -> Option<Option<Bytes>> {
        let is_next = self.0.front().is_some_and(|next| next.0 == reference);
        if is_next { self.0.pop_front().map(|next| next.1) } else { None }
    }
}
