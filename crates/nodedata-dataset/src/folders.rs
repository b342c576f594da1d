use std::collections::BTreeSet;

use nodedata_core::StreamSchema;

/// The folder of each stream: `data` for steps, `streams/<name>` for topics. Names are made of letters,
/// digits, `.`, `-` and `_`, so that no topic can name a path; two topics never share a folder, also on
/// file systems that do not tell upper from lower case.
pub(crate) fn stream_folders(streams: &[StreamSchema]) -> Vec<String> {
    let mut taken = BTreeSet::new();
    streams
        .iter()
        .map(|stream| {
            if stream.kind.is_one_table() {
                return "data".to_owned();
            }
            let plain = plain_name(&stream.name);
            let hash = blake3::hash(stream.name.as_bytes()).to_hex();
            let hashed = format!("{plain}-{}", &hash[..8]);
            let name = if plain.is_empty() || taken.contains(&plain.to_lowercase()) { hashed } else { plain };
            taken.insert(name.to_lowercase());
            format!("streams/{name}")
        })
        .collect()
}

fn plain_name(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    for letter in name.trim_matches('/').chars() {
        plain.push(match letter {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' => letter,
            '/' => '.',
            _ => '_',
        });
    }
    // No hidden folders, no `..`, and no name longer than file systems take.
    plain.truncate(120);
    plain.trim_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_become_safe_and_distinct_folders() {
        let stream = |name: &str| StreamSchema {
            id: nodedata_core::StreamId(0),
            name: name.into(),
            kind: nodedata_core::StreamKind::Messages,
            features: Vec::new(),
            metadata: Default::default(),
        };
        let names = ["/camera/wrist", "/camera.wrist", "/CAMERA/wrist", "/../../etc", "", "/jö#1"];
        let folders = stream_folders(&names.map(stream));
        assert_eq!(folders[0], "streams/camera.wrist");
        assert_eq!(folders[3], "streams/etc");
        assert!(folders[4].starts_with("streams/-"), "{folders:?}");
        assert_eq!(folders[5], "streams/j__1");
        let distinct: BTreeSet<_> = folders.iter().map(|it| it.to_lowercase()).collect();
        assert_eq!(distinct.len(), folders.len());
    }
}
