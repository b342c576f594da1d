use std::{
    collections::BTreeSet,
    ffi::OsStr,
    path::{Path, PathBuf},
};

use crate::Listing;

/// Answer of [`crate::Format::detect`]: how sure a format is, of which files, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detection {
    /// How sure the format is that the files it claims are its own.
    pub confidence: Confidence,
    /// The files that belong to a dataset of the format, whether or not its rows come from them.
    /// [`crate::Format::open`] gets these and no others.
    pub claims: Vec<PathBuf>,
    /// The folders that are a dataset each, so that one must be chosen where there are several. Empty when all
    /// files claimed are one dataset together, as the recordings in a folder are.
    pub roots: Vec<PathBuf>,
    /// What the confidence rests on, as a sentence without a full stop. Names a file.
    pub why: String,
}

/// How sure a format is, in increasing order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// Not this format.
    No,
    /// Files are called so.
    Name,
    /// A file begins so.
    Content,
    /// Files lie beside each other as in this format only, whatever others could make of each of them.
    Layout,
}

impl Detection {
    /// No file is of the format.
    pub fn no() -> Self {
        Self { confidence: Confidence::No, claims: Vec::new(), roots: Vec::new(), why: String::new() }
    }

    /// Of a format whose every file begins in a known way: claims the files that are called as its files are, and
    /// those that are called otherwise but begin so. `what` names them in the plural, such as `MCAP logs`.
    pub fn by_magic(
        listing: &Listing<'_>,
        what: &str,
        is_named: impl Fn(&Path) -> bool,
        begins: impl Fn(&[u8]) -> bool,
    ) -> Self {
        let fits = |it: &&Path| begins(&listing.head(it));
        let named: Vec<&Path> = listing.paths().filter(|it| is_named(it)).collect();
        let sniffed = listing.sniffed().into_iter().filter(|it| !is_named(it)).filter(fits);
        let endings: BTreeSet<Option<&OsStr>> = sniffed.map(Path::extension).collect();
        let alike = listing.paths().filter(|it| !is_named(it) && endings.contains(&it.extension()));
        let others: Vec<&Path> = alike.filter(fits).collect();
        let fitting = named.iter().copied().find(fits).or(others.first().copied());
        let Some(fitting) = fitting else { return Self::by_name(listing, what, is_named) };
        let claims: BTreeSet<&Path> = named.into_iter().chain(others).collect();
        Self {
            confidence: Confidence::Content,
            claims: claims.into_iter().map(Path::to_owned).collect(),
            roots: Vec::new(),
            why: format!("`{}` begins as {what} do", fitting.display()),
        }
    }

    /// Of a format whose files begin in no way of their own: claims those that are called as its files are.
    pub fn by_name(listing: &Listing<'_>, what: &str, is_named: impl Fn(&Path) -> bool) -> Self {
        let claims: Vec<PathBuf> = listing.paths().filter(|it| is_named(it)).map(Path::to_owned).collect();
        let Some(first) = claims.first() else { return Self::no() };
        let why = format!("`{}` is called as {what} are", first.display());
        Self { confidence: Confidence::Name, claims, roots: Vec::new(), why }
    }

    /// Of a format whose datasets are folders: claims all that lies below them. No folder is no detection.
    pub fn of_roots(listing: &Listing<'_>, confidence: Confidence, roots: Vec<PathBuf>, why: String) -> Self {
        if roots.is_empty() {
            return Self::no();
        }
        let claims: BTreeSet<&Path> = roots.iter().flat_map(|it| listing.below(it)).collect();
        Self { confidence, claims: claims.into_iter().map(Path::to_owned).collect(), roots, why }
    }
}

#[cfg(test)]
mod tests {
    use std::{ops::Range, sync::Arc};

    use bytes::Bytes;

    use super::*;
    use crate::{Error, ErrorKind, Files, Format, Formats, Locus, OpenOptions, ReadAt, Result, Source};

    /// Names and the whole of their files.
    struct Memory(Vec<(&'static str, &'static str)>);

    struct Text(&'static str);

    impl ReadAt for Text {
        fn n_bytes(&self) -> u64 {
            self.0.len() as u64
        }

        fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
            Ok(Bytes::from_static(self.0.as_bytes()).slice(range.start as usize..range.end as usize))
        }
    }

    impl Files for Memory {
        fn list(&self) -> Result<Vec<PathBuf>> {
            Ok(self.0.iter().map(|(name, _)| PathBuf::from(name)).collect())
        }

        fn open(&self, path: &Path) -> Result<Arc<dyn ReadAt>> {
            let found = self.0.iter().find(|(name, text)| Path::new(name) == path && *text != "locked");
            let found = found.ok_or_else(|| Error::new(ErrorKind::Io, "locked").at(Locus::path(path)))?;
            Ok(Arc::new(Text(found.1)))
        }
    }

    #[track_caller]
    fn check(files: &[(&'static str, &'static str)], confidence: Confidence, claims: &[&str], why: &str) {
        let files = Memory(files.to_vec());
        let listing = Listing::new(&files).unwrap();
        let is_named = |it: &Path| it.extension().is_some_and(|it| it == "log");
        let found = Detection::by_magic(&listing, "LOG! files", is_named, |it| it.starts_with(b"LOG!"));
        let claimed: Vec<PathBuf> = claims.iter().map(PathBuf::from).collect();
        assert_eq!((found.confidence, found.claims, found.why.as_str()), (confidence, claimed, why));
    }

    #[test]
    fn a_magic_is_surer_than_a_name() {
        let begins = "`b.log` begins as LOG! files do";
        check(
            &[("a.log", ""), ("b.log", "LOG!1"), ("c.txt", "LOG?")],
            Confidence::Content,
            &["a.log", "b.log"],
            begins,
        );
        check(&[("a.log", "locked"), ("b.log", "LOG!1")], Confidence::Content, &["a.log", "b.log"], begins);
        check(
            &[("a.log", "LOG"), ("b.txt", "")],
            Confidence::Name,
            &["a.log"],
            "`a.log` is called as LOG! files are",
        );
        check(&[("a.txt", "text")], Confidence::No, &[], "");
        check(&[], Confidence::No, &[], "");
    }

    /// Files of other names are claimed one by one, by what they hold.
    #[test]
    fn files_called_otherwise_are_found_by_their_heads() {
        let files: Vec<(&str, &str)> = (0..20)
            .map(|it| (&*format!("{it:02}.bin").leak(), if it % 5 == 3 { "LOG!" } else { "x" }))
            .collect();
        let claims = ["03.bin", "08.bin", "13.bin", "18.bin"];
        check(&files, Confidence::Content, &claims, "`03.bin` begins as LOG! files do");
        check(
            &[("a", "LOG!"), ("b.log", "x")],
            Confidence::Content,
            &["a", "b.log"],
            "`a` begins as LOG! files do",
        );
    }

    /// A format that finds what it is told to find.
    struct Told(&'static str, Confidence);

    impl Format for Told {
        fn name(&self) -> &'static str {
            self.0
        }

        fn about(&self) -> &'static str {
            ""
        }

        fn detect(&self, _listing: &Listing<'_>) -> Detection {
            Detection { confidence: self.1, ..Detection::no() }
        }

        fn open(&self, _files: Arc<dyn Files>, _options: &OpenOptions) -> Result<Box<dyn Source>> {
            Err(Error::new(ErrorKind::Unsupported, "told only"))
        }
    }

    #[test]
    fn the_surest_comes_first_and_of_equals_the_first_registered() {
        static TOLD: [Told; 6] = [
            Told("name", Confidence::Name),
            Told("no", Confidence::No),
            Told("content", Confidence::Content),
            Told("layout", Confidence::Layout),
            Told("content again", Confidence::Content),
            Told("layout again", Confidence::Layout),
        ];
        let formats = TOLD.iter().fold(Formats::default(), |all, it| all.with(it));
        let files = Memory(Vec::new());
        let found = formats.detect(&Listing::new(&files).unwrap());
        let names: Vec<&str> = found.iter().map(|(it, _)| it.name()).collect();
        assert_eq!(names, ["layout", "layout again", "content", "content again", "name"]);
    }
}
