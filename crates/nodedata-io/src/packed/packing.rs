/// How a file is packed as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// RFC 1952, of one member or many.
    Gzip,
    /// RFC 8878, of one frame or many.
    Zstd,
    /// Of one stream or many.
    Bzip2,
    /// Of one stream or many.
    Xz,
}

impl Packing {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Gzip, Self::Zstd, Self::Bzip2, Self::Xz];

    /// What a file that begins so is packed as. Eight bytes tell.
    pub fn of(head: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.begins(head))
    }

    /// Whether a member may begin with these bytes.
    pub(super) fn begins(self, head: &[u8]) -> bool {
        match self {
            Self::Gzip => head.starts_with(&[0x1f, 0x8b, 8]),
            // Frames of data, and those that are to be skipped.
            Self::Zstd => matches!(head, [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]),
            // A block, or the end of a stream that has none.
            Self::Bzip2 => {
                matches!(head, [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, ..])
                    || matches!(head, [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, ..])
            }
            Self::Xz => head.starts_with(&[0xfd, b'7', b'z', b'X', b'Z', 0]),
        }
    }

    /// A file's name without the ending that says how it is packed, and what that is.
    pub fn of_name(name: &str) -> Option<(&str, Self)> {
        let (stem, ending) = name.rsplit_once('.')?;
        Some((stem, Self::ALL.into_iter().find(|it| it.ending() == ending)?))
    }

    /// What names of such files end in, without the dot.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Gzip => "gz",
            Self::Zstd => "zst",
            Self::Bzip2 => "bz2",
            Self::Xz => "xz",
        }
    }

    /// As it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
        }
    }

    /// The command that unpacks such a file.
    pub fn command(self) -> &'static str {
        match self {
            Self::Gzip => "gunzip",
            Self::Zstd => "unzstd",
            Self::Bzip2 => "bunzip2",
            Self::Xz => "unxz",
        }
    }

    /// Whether zeros may stand between members and at the end: tapes pad, and so does xz by its own rules.
    pub(super) fn is_padded(self) -> bool {
        match self {
            Self::Gzip | Self::Xz => true,
            Self::Zstd | Self::Bzip2 => false,
        }
    }
}
