//! What the name of a member says: the sample that it belongs to, and the field of it that it is.

/// What a member is to a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Named<'n> {
    /// A field of the sample that is known by a key.
    Field { key: &'n [u8], field: &'n [u8] },
    /// Something about the archive itself, or what an archiver left behind.
    Meta,
    /// A file without a name for a field.
    NoField,
}

impl<'n> Named<'n> {
    /// The key is all up to the first dot of the base name; folders may have dots.
    pub(crate) fn of(name: &'n [u8]) -> Self {
        let is_meta = |it: &[u8]| 4 <= it.len() && it.starts_with(b"__") && it.ends_with(b"__");
        let first = name.split(|it| *it == b'/').next().unwrap_or_default();
        let base_start = name.iter().rposition(|it| *it == b'/').map_or(0, |it| it + 1);
        let base = &name[base_start..];
        let mut folders = name[..base_start].split(|it| *it == b'/');
        if is_meta(first) || base.starts_with(b".") || folders.any(is_pax_folder) {
            return Self::Meta;
        }
        let Some(dot) = base.iter().position(|it| *it == b'.') else { return Self::NoField };
        match &base[dot + 1..] {
            b"" => Self::NoField,
            field => Self::Field { key: &name[..base_start + dot], field },
        }
    }
}

/// Where programs that do not know extended headers unpack them.
fn is_pax_folder(folder: &[u8]) -> bool {
    let Some(rest) = folder.strip_prefix(b"PaxHeaders") else { return false };
    let number = rest.strip_prefix(b".").unwrap_or(rest);
    number.iter().all(u8::is_ascii_digit)
}

/// The name of a field, which is the same in capitals.
pub(crate) fn field_name(field: &[u8]) -> String {
    text_of(field).to_lowercase()
}

/// A name as text. Bytes that are no UTF-8 are written as `\xNN`.
pub(crate) fn text_of(name: &[u8]) -> String {
    let mut text = String::new();
    for chunk in name.utf8_chunks() {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|it| text.push_str(&format!("\\x{it:02x}")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, key: &str, field: &str) {
        let expected = Named::Field { key: key.as_bytes(), field: field.as_bytes() };
        assert_eq!(Named::of(name.as_bytes()), expected, "{name}");
    }

    /// As `base_plus_ext` of webdataset splits them.
    #[test]
    fn names_are_split_at_the_first_dot_of_the_base_name() {
        check("a/b.jpg", "a/b", "jpg");
        check("a.b/deep.dir/s0.seg.final.png", "a.b/deep.dir/s0", "seg.final.png");
        check("./with space.txt.gz", "./with space", "txt.gz");
        check("../up.txt", "../up", "txt");
        check("a/b..json", "a/b", ".json");
        check("__a/b.txt", "__a/b", "txt");
        check("a/__meta__.txt", "a/__meta__", "txt");
        check("PaxHeadersX/b.txt", "PaxHeadersX/b", "txt");
    }

    #[test]
    fn what_is_no_field_is_passed_over() {
        for name in ["__meta__", "__worker__/a.txt", "._x.jpg", "a/._x.jpg", ".hidden", "PaxHeaders.17/a.jpg"]
        {
            assert_eq!(Named::of(name.as_bytes()), Named::Meta, "{name}");
        }
        for name in ["README", "a.b/README", "a.", ""] {
            assert_eq!(Named::of(name.as_bytes()), Named::NoField, "{name}");
        }
        assert_eq!(text_of(b"a\xff\xc3\xbc"), "a\\xffü");
        assert_eq!(field_name("Seg.PNG".as_bytes()), "seg.png");
    }
}
