use nodedata_core::{Error, ErrorKind, Result};

/// A path of `info.json` with Python format fields, such as
/// `videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field { name: String, width: usize },
}

/// What the fields of a template stand for. Version 2 says `episode_chunk`, version 3 `chunk_index`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Values<'a> {
    pub(crate) chunk: u64,
    pub(crate) file: u64,
    pub(crate) episode: u64,
    pub(crate) video_key: &'a str,
}

/// Digits a number may be padded to; a larger width is a mistake or an attack.
const WIDTH_MAX: usize = 32;

impl Template {
    /// Reads a template. Fields are `{name}`, `{name:03d}`, `{name:d}` and `{name:s}`; `{{` and `}}` are braces.
    ///
    /// # Errors
    /// `Unsupported` for other fields and other format specifications.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                plain.push_str(brace);
                rest = after;
                continue;
            }
            let end =
                rest.find('}').filter(|_| brace == "{").ok_or_else(|| wrong(text, "a brace is open"))?;
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(field(text, &rest[..end])?);
            rest = &rest[end + 1..];
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self(pieces))
    }

    /// Whether it has a field called `name`.
    pub(crate) fn has_field(&self, field: &str) -> bool {
        self.0.iter().any(|it| matches!(it, Piece::Field { name, .. } if name == field))
    }

    /// The path for `values`.
    pub(crate) fn fill(&self, values: &Values<'_>) -> String {
        let mut path = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => path.push_str(text),
                Piece::Field { name, width } => {
                    let number = match name.as_str() {
                        "video_key" => {
                            path.push_str(values.video_key);
                            continue;
                        }
                        "episode_chunk" | "chunk_index" => values.chunk,
                        "file_index" => values.file,
                        _ => values.episode,
                    };
                    path.push_str(&format!("{number:0width$}"));
                }
            }
        }
        path
    }

    /// The numbers in `path` where the template could have made it; `None` where it could not.
    pub(crate) fn read<'a>(&self, path: &str, video_key: &'a str) -> Option<Values<'a>> {
        let mut values = Values { video_key, ..Values::default() };
        let mut rest = path;
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => rest = rest.strip_prefix(text.as_str())?,
                Piece::Field { name, .. } if name == "video_key" => rest = rest.strip_prefix(video_key)?,
                Piece::Field { name, .. } => {
                    let n_digits = rest.bytes().take_while(u8::is_ascii_digit).count();
                    let number = rest[..n_digits].parse().ok()?;
                    rest = &rest[n_digits..];
                    match name.as_str() {
                        "episode_chunk" | "chunk_index" => values.chunk = number,
                        "file_index" => values.file = number,
                        _ => values.episode = number,
                    }
                }
            }
        }
        rest.is_empty().then_some(values)
    }
}

fn field(text: &str, inside: &str) -> Result<Piece> {
    let (name, spec) = inside.split_once(':').unwrap_or((inside, ""));
    let known = ["video_key", "episode_chunk", "chunk_index", "file_index", "episode_index"];
    if !known.contains(&name) {
        return Err(wrong(text, &format!("`{name}` is none of {}", known.join(", "))));
    }
    let digits = spec.trim_end_matches(['d', 's']);
    let width = match digits {
        "" => 0,
        digits => digits.parse().ok().filter(|it| *it <= WIDTH_MAX).ok_or_else(|| {
            wrong(text, &format!("the format `{spec}` is not understood; `03d` and the like are"))
        })?,
    };
    Ok(Piece::Field { name: name.to_owned(), width })
}

fn wrong(text: &str, reason: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("the path template `{text}` cannot be used: {reason}"))
        .with_hint("correct `data_path` or `video_path` in meta/info.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_filled_as_python_would() {
        let values = Values { chunk: 2, file: 17, episode: 42, video_key: "observation.images.front" };
        for (template, expected) in [
            (
                "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
                "data/chunk-002/episode_000042.parquet",
            ),
            (
                "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
                "videos/observation.images.front/chunk-002/file-017.mp4",
            ),
            ("{{x}}/{file_index}", "{x}/17"),
            ("plain.parquet", "plain.parquet"),
        ] {
            let template = Template::parse(template).unwrap();
            assert_eq!(template.fill(&values), expected, "{template:?}");
            let read = template.read(expected, values.video_key).unwrap();
            assert_eq!(template.fill(&read), expected, "{template:?}");
            assert!(template.read(&format!("{expected}x"), values.video_key).is_none());
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for template in ["{a", "a}b", "{user}", "{file_index:>5}", "{file_index:0999d}"] {
            let err = Template::parse(template).unwrap_err();
            assert_eq!(err.kind(), ErrorKind::Unsupported, "{template}");
        }
    }
}
