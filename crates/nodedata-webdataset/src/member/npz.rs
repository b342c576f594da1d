//! Several arrays in a ZIP archive, as `numpy.savez` writes them.

use std::io::Read as _;

use nodedata_core::{Error, ErrorKind, Result};

use super::{Bounds, npy::NoArray};

/// Arrays of one member.
const ARRAYS_MAX: usize = 4096;
/// What is unpacked at a time.
const PIECE_BYTES: usize = 64 << 10;

/// An array in the archive.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    /// Without the ending.
    pub(crate) name: String,
    packed: &'a [u8],
    is_deflated: bool,
    n_bytes: u64,
    crc: u32,
}

/// Where values of ZIP are too large for their own places.
const ZIP64: u32 = u32::MAX;

/// The arrays of an archive, in the order of its directory.
///
/// # Errors
/// Why there are none.
pub(crate) fn entries(archive: &[u8]) -> Result<Vec<Entry<'_>>, NoArray> {
    let corrupt = |message: &str| NoArray::Corrupt(message.to_owned());
    let directory = directory(archive).ok_or_else(|| corrupt("it does not end as ZIP archives do"))?;
    let (mut rest, n_entries) = directory;
    if ARRAYS_MAX < n_entries {
        return Err(NoArray::Other(format!("has {n_entries} files in it")));
    }
    let mut found: Vec<Entry<'_>> = Vec::new();
    for _ in 0..n_entries {
        let (head, behind) = rest.split_at_checked(46).ok_or_else(|| corrupt("its directory is cut"))?;
        if !head.starts_with(b"PK\x01\x02") {
            return Err(corrupt("its directory is damaged"));
        }
        let lengths = [28, 30, 32].map(|at| usize::from(u16_at(head, at)));
        let n_behind: usize = lengths.iter().sum();
        let (texts, next) =
            behind.split_at_checked(n_behind).ok_or_else(|| corrupt("its directory is cut"))?;
        rest = next;
        let (name, extra) = (&texts[..lengths[0]], &texts[lengths[0]..lengths[0] + lengths[1]]);
        let name =
            str::from_utf8(name).map_err(|_| NoArray::Other("has names that are no text".to_owned()))?;
        if u16_at(head, 8) & 1 != 0 {
            return Err(NoArray::Other(format!("has `{name}` encrypted")));
        }
        let Some(array) = name.strip_suffix(".npy") else {
            return Err(NoArray::Other(format!("has `{name}` in it, which is no array")));
        };
        let is_deflated = match u16_at(head, 10) {
            0 => false,
            8 => true,
            method => return Err(NoArray::Other(format!("has `{name}` packed by method {method}"))),
        };
        let sizes = Sizes::of(head, extra).ok_or_else(|| corrupt("its directory has no sizes"))?;
        let packed = contents(archive, &sizes).ok_or_else(|| corrupt("its directory leads out of it"))?;
        if found.iter().any(|it| it.name == array) {
            return Err(corrupt("two of its arrays have one name"));
        }
        found.push(Entry {
            name: array.to_owned(),
            packed,
            is_deflated,
            n_bytes: sizes.n_bytes,
            crc: u32_at(head, 16),
        });
    }
    Ok(found)
}

/// Bytes of all its arrays, by its directory; 0 where that cannot be read.
pub(crate) fn n_unpacked(archive: &[u8]) -> u64 {
    let entries = entries(archive).unwrap_or_default();
    entries.iter().fold(0, |sum, it| sum.saturating_add(it.n_bytes))
}

struct Sizes {
    n_bytes: u64,
    n_packed: u64,
    start: u64,
}

impl Sizes {
    fn of(head: &[u8], extra: &[u8]) -> Option<Self> {
        let mut wide = wide_values(extra);
        let mut size = |at: usize| match u32_at(head, at) {
            ZIP64 => wide.next(),
            small => Some(u64::from(small)),
        };
        // In this order, and only those that are too large.
        let n_bytes = size(24)?;
        Some(Self { n_bytes, n_packed: size(20)?, start: size(42)? })
    }
}

/// The numbers of 64 bits in the fields that go with an entry.
fn wide_values(mut extra: &[u8]) -> impl Iterator<Item = u64> {
    let mut found = Vec::new();
    while let Some((head, rest)) = extra.split_at_checked(4) {
        let n = usize::from(u16_at(head, 2)).min(rest.len());
        if u16_at(head, 0) == 1 {
            let values = rest[..n].chunks_exact(8).filter_map(|it| it.first_chunk());
            found.extend(values.map(|it| u64::from_le_bytes(*it)));
        }
        extra = &rest[n..];
    }
    found.into_iter()
}

/// The directory, and how many entries it has.
fn directory(archive: &[u8]) -> Option<(&[u8], usize)> {
    // Behind it may come a remark of 64 KiB.
    let lowest = archive.len().saturating_sub(22 + usize::from(u16::MAX));
    let last = archive.len().checked_sub(22)?;
    let at = (lowest..=last).rev().find(|at| archive[*at..].starts_with(b"PK\x05\x06"))?;
    let tail = &archive[at..];
    let (start, n_bytes) = (u32_at(tail, 16) as usize, u32_at(tail, 12) as usize);
    let directory = archive.get(start..start.checked_add(n_bytes)?)?;
    Some((directory, usize::from(u16_at(tail, 10))))
}

/// The bytes of an entry, behind a header of its own.
fn contents<'a>(archive: &'a [u8], sizes: &Sizes) -> Option<&'a [u8]> {
    let local = archive.get(usize::try_from(sizes.start).ok()?..)?;
    let (head, behind) = local.split_at_checked(30)?;
    let n_before = usize::from(u16_at(head, 26)) + usize::from(u16_at(head, 28));
    let behind = behind.get(n_before..).filter(|_| head.starts_with(b"PK\x03\x04"))?;
    behind.get(..usize::try_from(sizes.n_packed).ok()?)
}

impl Entry<'_> {
    /// Its first bytes, at most so many.
    ///
    /// # Errors
    /// Why there are none.
    pub(crate) fn head(&self, n_bytes: u64) -> Result<Vec<u8>, NoArray> {
        let mut head = Vec::new();
        let read = match self.is_deflated {
            true => flate2::bufread::DeflateDecoder::new(self.packed).take(n_bytes).read_to_end(&mut head),
            false => self.packed.take(n_bytes).read_to_end(&mut head),
        };
        // What comes before damage may be all that is asked for.
        match read {
            Err(err) if head.is_empty() => Err(NoArray::Corrupt(format!("`{}`: {err}", self.name))),
            _ => Ok(head),
        }
    }

    /// All of it, held against its checksum.
    ///
    /// # Errors
    /// `Corrupt`; `Limit`.
    pub(crate) fn read(&self, bounds: Bounds) -> Result<Vec<u8>> {
        let name = &self.name;
        let corrupt = |message: String| Err(Error::new(ErrorKind::Corrupt, message));
        let max = bounds.of(self.packed.len() as u64);
        if max < self.n_bytes {
            let n_bytes = self.n_bytes;
            let message =
                format!("`{name}` would have {n_bytes} bytes, but at most {max} may come out of it");
            return Err(Error::new(ErrorKind::Limit, message));
        }
        let mut out = Vec::new();
        let mut source: Box<dyn std::io::Read + '_> = match self.is_deflated {
            true => Box::new(flate2::bufread::DeflateDecoder::new(self.packed)),
            false => Box::new(self.packed),
        };
        let mut piece = vec![0; PIECE_BYTES];
        let mut crc = flate2::Crc::new();
        loop {
            let n = match source.read(&mut piece) {
                Ok(n) => n,
                Err(err) => return corrupt(format!("`{name}` is damaged: {err}")),
            };
            if n == 0 {
                break;
            }
            crc.update(&piece[..n]);
            out.extend_from_slice(&piece[..n]);
            if self.n_bytes < out.len() as u64 {
                return corrupt(format!("more comes out of `{name}` than its {} bytes", self.n_bytes));
            }
        }
        if out.len() as u64 != self.n_bytes {
            return corrupt(format!("{} bytes come out of `{name}`, which has {}", out.len(), self.n_bytes));
        }
        if crc.sum() != self.crc {
            return corrupt(format!("`{name}` is not what its checksum says"));
        }
        Ok(out)
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |it| u16::from_le_bytes(*it))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |it| u32::from_le_bytes(*it))
}
