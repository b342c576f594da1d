/// What extended headers say of a member, as far as it decides where its contents lie and what it is called.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) path: Option<Vec<u8>>,
    /// The path of a file of which the holes are left out, whose other name is one that the archiver made up.
    pub(super) sparse_path: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    /// Whether holes are left out of its contents.
    pub(super) is_sparse: bool,
}

impl Records {
    /// Reads `LENGTH KEY=VALUE` lines. The length counts all of its line.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub(super) fn parse(mut text: &[u8]) -> Result<Self, String> {
        let mut found = Self::default();
        // Some writers fill up with zeros.
        while text.first().is_some_and(|it| *it != 0) {
            let n_digits = text.iter().take_while(|it| it.is_ascii_digit()).count();
            let length: Option<usize> = str::from_utf8(&text[..n_digits]).ok().and_then(|it| it.parse().ok());
            let length = length.filter(|it| (n_digits + 3..=text.len()).contains(it));
            let Some(length) = length.filter(|it| text[n_digits] == b' ' && text[it - 1] == b'\n') else {
                return Err("a record of the extended header does not end where it says".to_owned());
            };
            let record = &text[n_digits + 1..length - 1];
            let Some(at) = record.iter().position(|it| *it == b'=') else {
                return Err("a record of the extended header has no value".to_owned());
            };
            found.take(&record[..at], &record[at + 1..])?;
            text = &text[length..];
        }
        Ok(found)
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        match key {
            // An empty value takes back what was said before.
            b"path" => self.path = (!value.is_empty()).then(|| value.to_vec()),
            b"size" if value.is_empty() => self.size = None,
            b"size" => {
                let size = str::from_utf8(value).ok().and_then(|it| it.parse().ok());
                let told = || format!("the extended header says `{}` of the size", value.escape_ascii());
                self.size = Some(size.ok_or_else(told)?);
            }
            b"GNU.sparse.name" => {
                self.sparse_path = (!value.is_empty()).then(|| value.to_vec());
                self.is_sparse = true;
            }
            _ => self.is_sparse |= key.starts_with(b"GNU.sparse."),
        }
        Ok(())
    }

    /// Whether anything is said that decides about a member.
    pub(super) fn is_empty(&self) -> bool {
        self.path.is_none() && self.size.is_none() && !self.is_sparse
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_say_where_they_end() {
        let found =
            Records::parse(b"19 path=\xc3\xbcml\xc3\xa4ut/a\n14 mtime=1.25\n12 size=123\n\0\0").unwrap();
        assert_eq!((found.path.as_deref(), found.size), (Some("ümläut/a".as_bytes()), Some(123)));
        assert!(Records::parse(b"22 GNU.sparse.major=1\n").unwrap().is_sparse);
        let found = Records::parse(b"29 GNU.sparse.name=dir/m.jpg\n30 path=GNUSparseFile.7/m.jpg\n").unwrap();
        assert!(found.is_sparse && found.sparse_path.as_deref() == Some(&b"dir/m.jpg"[..]));
        assert!(Records::parse(b"17 comment=about\n").unwrap().is_empty());
        for lying in [
            &b"21 path=a\n"[..],
            b"8 path=a\n",
            b"99999999999999999999999 path=a\n",
            b"0 path=a\n",
            b" path=a\n",
            b"10path=ab\n",
            b"8 path\n\n",
            b"12 size=-12\n",
            b"1",
        ] {
            assert!(Records::parse(lying).is_err(), "{}", lying.escape_ascii());
        }
    }
}
