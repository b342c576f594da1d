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
    let plain = plain.trim_matches('.');
    // Windows takes these for devices, whatever stands behind a dot.
    let stem = plain.split('.').next().unwrap_or_default().to_ascii_uppercase();
    let is_port = |it: &str| {
        let number = it.strip_prefix("COM").or_else(|| it.strip_prefix("LPT"));
        number.is_some_and(|it| matches!(it.as_bytes(), [b'0'..=b'9']))
    };
    match ["CON", "PRN", "AUX", "NUL"].contains(&stem.as_str()) || is_port(&stem) {
        true => format!("_{plain}"),
        false => plain.to_owned(),
    }
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
        let devices = ["/CON", "/nul/x", "/com1", "/com10", "/console", "/a./"];
        let folders = stream_folders(&devices.map(stream));
        let expected = ["_CON", "_nul.x", "_com1", "com10", "console", "a"];
        assert_eq!(folders, expected.map(|it| format!("streams/{it}")));
    }
}
