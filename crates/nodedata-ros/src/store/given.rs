use std::collections::BTreeMap;

use nodedata_core::MessageText;

use super::Entry;
use crate::{definition::TypeDef, idl, parts::Part};

/// The definitions of a user, by the types that are in them.
#[derive(Debug, Default)]
pub(super) struct Given {
    texts: Vec<MessageText>,
    /// A text of IDL may define several types.
    by_type: BTreeMap<String, usize>,
}

impl Given {
    pub(super) fn new(texts: &[MessageText]) -> Self {
        let mut by_type = BTreeMap::new();
        for (idx, text) in texts.iter().enumerate() {
            by_type.insert(text.name.clone(), idx);
        }
        // What a text is called by goes before what else is in another.
        for (idx, text) in texts.iter().enumerate().filter(|(_, it)| it.is_idl) {
            let part = Part { name: &text.name, is_idl: true, text: &text.text, first_line: 1 };
            // Text that is no IDL is told of where a topic needs it.
            for (name, definition) in idl::parse(&[part]).unwrap_or_default() {
                if matches!(definition, TypeDef::Struct(_)) {
                    by_type.entry(name).or_insert(idx);
                }
            }
        }
        Self { texts: texts.to_vec(), by_type }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    pub(super) fn find(&self, name: &str) -> Option<Entry<'_>> {
        let text = &self.texts[*self.by_type.get(name)?];
        Some(Entry { name: &text.name, is_idl: text.is_idl, text: &text.text })
    }
}

/// The types whose files IDL text includes: rosidl has a file for each.
pub(super) fn included(text: &str) -> impl Iterator<Item = String> + '_ {
    text.lines().filter_map(|line| {
        let path = line.trim().strip_prefix("#include")?.trim().trim_matches(['"', '<', '>']);
        path.strip_suffix(".idl").map(str::to_owned)
    })
}
