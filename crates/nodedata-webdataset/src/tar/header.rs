/// Bytes of a block: a header is one, and contents are padded to whole ones.
pub(crate) const BLOCK_BYTES: usize = 512;

/// What stands where a header should.
#[derive(Debug)]
pub(super) enum Block<'a> {
    Header(Header<'a>),
    /// Nothing but zeros: the end of the archive.
    Zeros,
    /// Another block than its checksum says.
    Broken,
}

/// A header whose checksum is right.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header<'a>(&'a [u8; BLOCK_BYTES]);

/// What a header is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    /// To another member, hard or symbolic.
    Link,
    /// A device or a pipe.
    Special,
    /// A file of which the holes are left out, as GNU tar writes it.
    SparseFile,
    /// The name of the member that follows.
    LongName,
    /// The target of the link that follows.
    LongLink,
    /// Records about the member that follows.
    Records,
    /// Records about all members that follow.
    GlobalRecords,
    /// Something else, with contents.
    Other,
}

impl<'a> Block<'a> {
    pub(super) fn of(bytes: &'a [u8; BLOCK_BYTES]) -> Self {
        if bytes.iter().all(|it| *it == 0) {
            return Self::Zeros;
        }
        if is_sound(bytes) { Self::Header(Header(bytes)) } else { Self::Broken }
    }
}

/// Whether a file that begins so begins with a member.
pub(crate) fn begins_archive(head: &[u8]) -> bool {
    head.first_chunk().is_some_and(|it| it[0] != 0 && is_sound(it))
}

/// Holds a header against its checksum, for which its own bytes count as spaces. Some old writers added up signed bytes.
fn is_sound(bytes: &[u8; BLOCK_BYTES]) -> bool {
    let Some(told) = octal(&bytes[148..156]) else { return false };
    let counted = bytes.iter().enumerate().map(|(at, it)| if (148..156).contains(&at) { b' ' } else { *it });
    let (mut plain, mut signed) = (0u64, 0i64);
    for byte in counted {
        plain += u64::from(byte);
        signed += i64::from(byte.cast_signed());
    }
    told == plain || i64::try_from(told) == Ok(signed)
}

impl Header<'_> {
    /// What a block that is no sound header says it is called, where it looks like one at all.
    pub(super) fn legible(block: &[u8; BLOCK_BYTES]) -> Option<Vec<u8>> {
        (block[257..262] == *b"ustar").then(|| Header(block).name())
    }

    /// What a header of which only so much is there says it is called: all of that, or how it begins.
    pub(super) fn legible_start(rest: &[u8]) -> Vec<u8> {
        until_zero(&rest[..rest.len().min(100)]).to_vec()
    }

    pub(super) fn kind(&self) -> Kind {
        match self.0[156] {
            // Before there were directories of their own, they were files whose name ends so.
            0 if self.0[..100].split(|it| *it == 0).next().is_some_and(|it| it.ends_with(b"/")) => {
                Kind::Directory
            }
            b'0' | 0 | b'7' => Kind::File,
            b'1' | b'2' => Kind::Link,
            b'3' | b'4' | b'6' => Kind::Special,
            b'5' => Kind::Directory,
            b'S' => Kind::SparseFile,
            b'L' => Kind::LongName,
            b'K' => Kind::LongLink,
            b'x' | b'X' => Kind::Records,
            b'g' => Kind::GlobalRecords,
            _ => Kind::Other,
        }
    }

    /// Its name, with the part of it that USTAR keeps elsewhere.
    pub(super) fn name(&self) -> Vec<u8> {
        let name = until_zero(&self.0[..100]);
        // GNU tar has other things there, and a space behind its magic.
        let prefix = if self.0[257..263] == *b"ustar\0" { until_zero(&self.0[345..500]) } else { b"" };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    /// Bytes of its contents, which only some kinds have; `None` where that is no number.
    pub(super) fn size(&self) -> Option<u64> {
        number(&self.0[124..136])
    }

    /// Whether a block follows that says more about the holes of a sparse file.
    pub(super) fn has_more_holes(&self) -> bool {
        self.0[482] != 0
    }
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|it| *it == 0).next().unwrap_or_default()
}

/// A number in octal digits or, with the first bit set, as such with the highest byte first.
fn number(field: &[u8]) -> Option<u64> {
    match field.first()? {
        0x80 => field[1..].iter().try_fold(0u64, |sum, it| Some(sum.checked_mul(256)? + u64::from(*it))),
        first if first & 0x80 != 0 => None,
        _ => octal(field),
    }
}

/// Octal digits between blanks; none at all is 0.
fn octal(field: &[u8]) -> Option<u64> {
    let text = until_zero(field).trim_ascii();
    let digit = |it: &u8| (b'0'..=b'7').contains(it).then(|| u64::from(it - b'0'));
    text.iter().try_fold(0u64, |sum, it| sum.checked_mul(8)?.checked_add(digit(it)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_bytes() {
        assert_eq!(number(b"0000000644\0 "), Some(0o644));
        assert_eq!(number(b"      17 \0\0\0"), Some(0o17));
        assert_eq!(number(b"\0\0\0\0\0\0\0\0\0\0\0\0"), Some(0));
        assert_eq!(number(b"777777777777"), Some(0o777_777_777_777));
        assert_eq!(number(b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff"), Some(i64::MAX.cast_unsigned()));
        assert_eq!(number(b"\x80\0\0\x01\0\0\0\0\0\0\0\0"), None);
        assert_eq!(number(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), None);
        assert_eq!(number(b"00000000008\0"), None);
    }

    /// A header as Solaris once wrote it, which added up signed bytes.
    #[test]
    fn checksums_may_be_of_signed_bytes() {
        let mut block = [0u8; BLOCK_BYTES];
        block[..5].copy_from_slice(b"\xe4.txt");
        let sum = |is_signed: bool| {
            let value = |it: &u8| if is_signed { i64::from(it.cast_signed()) } else { i64::from(*it) };
            block.iter().map(value).sum::<i64>() + 8 * 32
        };
        for (checksum, is_sound) in [(sum(false), true), (sum(true), true), (sum(false) + 1, false)] {
            let mut block = block;
            block[148..156].copy_from_slice(format!("{checksum:06o}\0 ").as_bytes());
            assert_eq!(matches!(Block::of(&block), Block::Header(_)), is_sound);
            assert_eq!(begins_archive(&block), is_sound);
        }
        assert!(matches!(Block::of(&[0; BLOCK_BYTES]), Block::Zeros));
        assert!(!begins_archive(&[0; BLOCK_BYTES]));
    }
}
