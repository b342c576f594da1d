//! Members one after the other as samples: a run of members with one key is one.

use std::ops::Range;

use nodedata_core::{ErrorKind, Result};

use crate::{
    names::{Named, field_name, text_of},
    tar::{End, Member, MemberKind, Walk},
};

/// Fields that a sample may have: each is a column.
pub(crate) const FIELDS_MAX: usize = 4096;

/// A sample, as far as headers tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) key: String,
    /// Its members, with their headers.
    pub(crate) records: Range<u64>,
    pub(crate) fields: Vec<Field>,
    /// Why it is no row.
    pub(crate) flaw: Option<Flaw>,
}

/// A field of a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: String,
    /// Where the member begins.
    pub(crate) start: u64,
    /// Its contents.
    pub(crate) data: Range<u64>,
}

/// What is wrong with a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flaw {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
    /// Where the member begins that it is in.
    pub(crate) at: u64,
    pub(crate) field: String,
    /// As in ledgers.
    pub(crate) reason: &'static str,
}

/// Members that no sample has, and the first of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PassedOver {
    pub(crate) n: u64,
    pub(crate) first: Option<(String, u64)>,
}

/// The samples of an archive, or of a part of it.
pub(crate) struct Samples<'a> {
    walk: Walk<'a>,
    current: Option<(Vec<u8>, Sample)>,
    /// Files without a name for a field.
    pub(crate) unnamed: PassedOver,
    /// Links and other members that are no files.
    pub(crate) no_files: PassedOver,
    /// A sample that may lack members, because the archive breaks off and nothing tells that another one has begun.
    pub(crate) broken_off: Option<Sample>,
    /// Whether the archive is known to break off where it ends.
    is_cut: bool,
}

impl<'a> Samples<'a> {
    pub(crate) fn new(walk: Walk<'a>, is_cut: bool) -> Self {
        let (unnamed, no_files) = Default::default();
        Self { walk, current: None, unnamed, no_files, broken_off: None, is_cut }
    }

    /// What ended the archive, once there is no other sample.
    pub(crate) fn walk(&self) -> &Walk<'a> {
        &self.walk
    }

    /// The next sample.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn next_sample(&mut self) -> Result<Option<Sample>> {
        while let Some(member) = self.walk.next_member()? {
            match member.kind {
                MemberKind::Directory => continue,
                MemberKind::Other => {
                    self.no_files.add(&member);
                    continue;
                }
                MemberKind::File | MemberKind::SparseFile => {}
            }
            let (key, field) = match Named::of(&member.name) {
                Named::Field { key, field } => (key, field_name(field)),
                Named::Meta => continue,
                Named::NoField => {
                    self.unnamed.add(&member);
                    continue;
                }
            };
            if let Some((known, sample)) = &mut self.current
                && known.as_slice() == key
            {
                sample.add(field, &member);
                continue;
            }
            let done = self.current.replace((key.to_vec(), Sample::begin(key, field, &member)));
            if let Some((_, done)) = done {
                return Ok(Some(done));
            }
        }
        let last = self.current.take();
        let is_broken_off = |known: &[u8]| match self.walk.end() {
            Some(End::Broken(broken)) => match broken.name.as_deref().map(Named::of) {
                // Of a header that is cut, the folders may be missing.
                Some(Named::Field { key, .. }) => known.ends_with(key),
                Some(Named::Meta | Named::NoField) | None => true,
            },
            Some(End::Unmarked) => self.is_cut,
            None => false,
        };
        match last {
            Some((key, sample)) if is_broken_off(&key) => {
                self.broken_off = Some(sample);
                Ok(None)
            }
            last => Ok(last.map(|it| it.1)),
        }
    }
}

impl PassedOver {
    fn add(&mut self, member: &Member) {
        self.n += 1;
        self.first.get_or_insert_with(|| (text_of(&member.name), member.start));
    }
}

impl Sample {
    fn begin(key: &[u8], field: String, member: &Member) -> Self {
        let records = member.start..member.data.end;
        let mut sample = Self { key: text_of(key), records, fields: Vec::new(), flaw: None };
        sample.add(field, member);
        sample
    }

    fn add(&mut self, field: String, member: &Member) {
        self.records.end = member.data.end;
        let found = if member.kind == MemberKind::SparseFile {
            let message = "the member is written without its holes, which is not read".to_owned();
            Some((ErrorKind::Unsupported, message, "sparse"))
        } else if self.fields.len() == FIELDS_MAX {
            let message = format!("the sample has more than {FIELDS_MAX} fields");
            Some((ErrorKind::Limit, message, "over_limit"))
        } else if self.fields.iter().any(|it| it.name == field) {
            let message = format!("the sample `{}` has the field `{field}` twice", self.key);
            Some((ErrorKind::Corrupt, message, "duplicate_field"))
        } else {
            None
        };
        match found {
            Some((kind, message, reason)) => {
                let flaw = Flaw { kind, message, at: member.start, field, reason };
                self.flaw.get_or_insert(flaw);
            }
            None => self.fields.push(Field { name: field, start: member.start, data: member.data.clone() }),
        }
    }
}
