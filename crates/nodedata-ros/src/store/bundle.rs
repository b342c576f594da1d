use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    sync::LazyLock,
};

use super::Entry;

/// Made by `cargo xtask gen`; `layouts.msg` and `LICENSES.md` beside it say of what.
static COMPRESSED: &[u8] = include_bytes!("definitions.zst");

/// More than the text can be, so that a spoilt build takes no memory.
const TEXT_BYTES_MAX: usize = 4 << 20;

static TEXT: LazyLock<String> = LazyLock::new(|| {
    let mut bytes =
        zstd::bulk::decompress(COMPRESSED, TEXT_BYTES_MAX).expect("the bundle was compressed by gen");
    // It has room for the most, and stays for good.
    bytes.shrink_to_fit();
    String::from_utf8(bytes).expect("the bundle is text")
});

/// The definitions that come with the program; unpacked when first asked for one.
pub(super) static BUNDLE: LazyLock<Bundle> = LazyLock::new(|| Bundle::parse(&TEXT));

#[derive(Debug)]
pub(super) struct Bundle {
    /// Oldest first.
    distros: Vec<&'static str>,
    vendors: BTreeSet<&'static str>,
    types: BTreeMap<&'static str, Vec<Layout>>,
}

/// What a type is in some distros.
#[derive(Debug)]
struct Layout {
    distros: RangeInclusive<usize>,
    text: &'static str,
}

impl Bundle {
    /// The form is that of `examples/bundle_definitions.rs`.
    fn parse(text: &'static str) -> Self {
        let (head, body) = text.split_once("\n@ ").unwrap_or((text, ""));
        let words = |key: &str| {
            let line = head.lines().find_map(|it| it.strip_prefix(key));
            line.unwrap_or_default().split_whitespace()
        };
        let distros: Vec<&str> = words("distros ").collect();
        let newest = distros.len().saturating_sub(1);
        let position = |name: &str| distros.iter().position(|it| *it == name);
        let mut types: BTreeMap<&str, Vec<Layout>> = BTreeMap::new();
        for entry in body.split("\n@ ") {
            let (heading, text) = entry.split_once('\n').unwrap_or((entry, ""));
            let Some((name, (first, last))) =
                heading.split_once(' ').and_then(|(name, range)| Some((name, range.split_once("..")?)))
            else {
                continue;
            };
            let range = position(first).unwrap_or(0)..=position(last).unwrap_or(newest);
            types.entry(name).or_default().push(Layout { distros: range, text });
        }
        Self { vendors: words("vendor ").collect(), distros, types }
    }

    /// Oldest first.
    pub(super) fn distros(&self) -> &[&'static str] {
        &self.distros
    }

    /// The position of a distro; `rolling` goes on from the newest.
    pub(super) fn distro(&self, name: &str) -> Option<usize> {
        let name = name.trim().to_ascii_lowercase();
        match name.as_str() {
            "rolling" => self.distros.len().checked_sub(1),
            name => self.distros.iter().position(|it| *it == name),
        }
    }

    pub(super) fn is_vendor(&self, package: &str) -> bool {
        self.vendors.contains(package)
    }

    pub(super) fn find(&self, name: &str, distro: usize) -> Option<Entry<'static>> {
        let (name, layouts) = self.types.get_key_value(name)?;
        let layout = layouts.iter().find(|it| it.distros.contains(&distro))?;
        Some(Entry { name, is_idl: false, text: layout.text })
    }

    #[cfg(test)]
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.types.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::TEXT;

    #[test]
    fn the_text_takes_no_more_room_than_it_needs() {
        assert!(TEXT.capacity() - TEXT.len() < 4096, "{} for {}", TEXT.capacity(), TEXT.len());
    }
}
