use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use nodedata_core::{ReadAt, Result};
use nodedata_io::Scratch;

use crate::tfrecord::Checksum;

/// What is fetched at once of a record that is far away.
pub(crate) const PAGE_BYTES: u64 = 1 << 20;
/// The longest thing that is looked at in one piece: a tag and a length.
pub(crate) const HEAD_BYTES: u64 = 20;

/// A record that is looked through from its front to its back, a page at a time, so that it need not be in memory. What is in
/// memory anyway is one page.
pub(crate) struct Pages<'a> {
    file: &'a dyn ReadAt,
    page_bytes: u64,
    page: Bytes,
    /// Where the page begins in the record.
    start: u64,
    /// Whether nobody is going to ask for what lies around a page.
    is_alone: bool,
    passing: Option<Passing>,
}

/// What was passed so far, whether or not anybody looked at it.
struct Passing {
    checksum: Checksum,
    end: u64,
    /// A copy of it, as long as there is room.
    copy: Option<Scratch>,
}

/// A record that was passed as a whole.
#[derive(Default)]
pub(crate) struct Passed {
    /// As stored; `None` where nothing is passed but what is looked at.
    pub(crate) checksum: Option<[u8; 4]>,
    /// Where it was kept.
    pub(crate) copy: Option<Arc<dyn ReadAt>>,
}

impl Passing {
    fn take(&mut self, bytes: &[u8], end: u64) {
        self.checksum.update(bytes);
        // Where the disk is full the record is fetched once more.
        self.copy = self.copy.take().and_then(|mut it| it.push(bytes).is_ok().then_some(it));
        self.end = end;
    }
}

impl<'a> Pages<'a> {
    /// Looks through `file` in pages of `page_bytes`.
    pub(crate) fn of(file: &'a dyn ReadAt, page_bytes: u64) -> Self {
        let (page, start) = (file.in_memory().unwrap_or_default(), 0);
        Self { file, page_bytes: page_bytes.max(HEAD_BYTES), page, start, is_alone: false, passing: None }
    }

    /// Looks at places of `file` that are far from each other.
    pub(crate) fn alone(file: &'a dyn ReadAt, page_bytes: u64) -> Self {
        Self { is_alone: true, ..Self::of(file, page_bytes) }
    }

    /// Passes all bytes on the way, each of which is fetched once where nobody goes back: takes their checksum, and keeps them in `copy`.
    #[must_use]
    pub(crate) fn passing(self, copy: Option<Scratch>) -> Self {
        Self { passing: Some(Passing { checksum: Checksum::default(), end: 0, copy }), ..self }
    }

    pub(crate) fn n_bytes(&self) -> u64 {
        self.file.n_bytes()
    }

    /// What lies at `at`: at most [`HEAD_BYTES`], and fewer only at the end of the record.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn head(&mut self, at: u64) -> Result<&[u8]> {
        let n = (self.n_bytes().saturating_sub(at)).min(HEAD_BYTES);
        let within = self.within(at, n)?;
        Ok(&self.page[within])
    }

    /// What lies in `range`, or the front of it: at least a byte, unless it is empty.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn front(&mut self, range: Range<u64>) -> Result<&[u8]> {
        let n = range.end.min(self.n_bytes()).saturating_sub(range.start);
        let within = self.within(range.start, n.min(1))?;
        let n_there = (self.page.len() - within.start) as u64;
        // No more than there is in the page, which fits memory.
        Ok(&self.page[within.start..within.start + n.min(n_there) as usize])
    }

    /// Where `n` bytes at `at`, which the record has, lie in the page.
    fn within(&mut self, at: u64, n: u64) -> Result<Range<usize>> {
        let is_there = self.start <= at && at + n <= self.start + self.page.len() as u64;
        if !is_there && n != 0 {
            self.turn(at)?;
        }
        let start = at.saturating_sub(self.start).min(self.page.len() as u64) as usize;
        Ok(start..start + n as usize)
    }

    /// Makes the page one that begins at `at`, or with what lies shortly before and is to be passed anyway.
    fn turn(&mut self, at: u64) -> Result<()> {
        let passed = self.passing.as_ref().map(|it| it.end);
        let start = passed.filter(|it| *it < at && at - *it < self.page_bytes).unwrap_or(at);
        self.pass(start)?;
        let end = self.n_bytes().min(at.saturating_add(self.page_bytes));
        self.page = match self.is_alone {
            true => self.file.peek_at(start..end)?,
            false => self.file.read_at(start..end)?,
        };
        self.start = start;
        if let Some(passing) = &mut self.passing
            && let Some(new) = passing.end.checked_sub(start).and_then(|it| usize::try_from(it).ok())
            && let Some(new) = self.page.get(new..)
        {
            passing.take(new, end);
        }
        Ok(())
    }

    /// Passes what lies before `at` and was stepped over.
    fn pass(&mut self, at: u64) -> Result<()> {
        let Some(passing) = &mut self.passing else { return Ok(()) };
        while passing.end < at {
            let end = at.min(passing.end + PAGE_BYTES);
            passing.take(&self.file.read_at(passing.end..end)?, end);
        }
        Ok(())
    }

    /// The whole record, where it is passed; what nobody has looked at is fetched for it.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn finish(mut self) -> Result<Passed> {
        self.pass(self.n_bytes())?;
        let Some(Passing { checksum, copy, .. }) = self.passing else { return Ok(Passed::default()) };
        Ok(Passed { checksum: Some(checksum.masked()), copy: copy.and_then(|it| it.into_file().ok()) })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// A file that is far away, and how much of it was fetched.
    struct Far(Vec<u8>, AtomicU64);

    impl ReadAt for Far {
        fn n_bytes(&self) -> u64 {
            self.0.len() as u64
        }

        fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
            self.1.fetch_add(range.end - range.start, Ordering::Relaxed);
            Ok(self.0[range.start as usize..range.end as usize].to_vec().into())
        }
    }

    #[test]
    fn the_checksum_is_of_every_byte_whatever_is_looked_at() {
        let bytes: Vec<u8> = (0..1000u32).map(|it| (it * 7) as u8).collect();
        let mut all = Checksum::default();
        all.update(&bytes);
        let all = all.masked();
        let looks: [&[u64]; 4] = [&[], &[0, 5, 60, 999], &[0, 900], &[500, 3, 501]];
        for looks in looks {
            let file = Far(bytes.clone(), AtomicU64::new(0));
            let mut pages = Pages::of(&file, 64).passing(Scratch::within(&Scratch::folder(None)).ok());
            for at in looks {
                let head = pages.head(*at).unwrap();
                assert_eq!(head, &bytes[*at as usize..(*at as usize + 20).min(1000)]);
            }
            let Passed { checksum, copy } = pages.finish().unwrap();
            assert_eq!(checksum, Some(all), "{looks:?}");
            assert_eq!(copy.unwrap().read_at(0..1000).unwrap(), bytes, "{looks:?}");
        }
        // All of it, and heads of values that are stepped over.
        for step in [None, Some(30), Some(70)] {
            let file = Far(bytes.clone(), AtomicU64::new(0));
            let mut pages = Pages::of(&file, 64).passing(None);
            let mut at = 0;
            while at < 980 {
                let n_there = pages.front(at..1000).unwrap().len() as u64;
                at += match step {
                    None => n_there,
                    Some(step) => {
                        pages.head(at).unwrap();
                        step
                    }
                };
            }
            assert_eq!(pages.finish().unwrap().checksum, Some(all));
            let n_fetched = file.1.load(Ordering::Relaxed);
            let n_twice = n_fetched - 1000;
            // A head across the end of a page is fetched with the next one.
            assert!(n_twice <= 20 * 16, "{step:?}: {n_twice} bytes twice");
            assert!(step.is_some() || n_twice == 0, "each byte is fetched once");
        }
    }
}
