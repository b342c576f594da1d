use super::super::Chroma;

/// Chroma and depth of an FFmpeg pixel format whose planes are taken as they are.
pub(super) fn layout(name: &str) -> Option<(Chroma, u8)> {
    const KINDS: [(&str, Chroma); 8] = [
        ("gray", Chroma::None),
        ("yuv420p", Chroma::Yuv420),
        ("yuvj420p", Chroma::Yuv420),
        ("yuv422p", Chroma::Yuv422),
        ("yuvj422p", Chroma::Yuv422),
        ("yuv444p", Chroma::Yuv444),
        ("yuvj444p", Chroma::Yuv444),
        ("gbrp", Chroma::Yuv444),
    ];
    let (rest, chroma) = KINDS.iter().find_map(|(kind, chroma)| Some((name.strip_prefix(kind)?, *chroma)))?;
    let bit_depth = match rest {
        "" => 8,
        _ => rest.strip_suffix("le")?.parse().ok()?,
    };
    // Of 8 bits none has a number.
    ((8..=16).contains(&bit_depth) && rest.is_empty() == (bit_depth == 8)).then_some((chroma, bit_depth))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixel_formats_by_name() {
        for (name, expected) in [
            ("gray", Some((Chroma::None, 8))),
            ("yuv420p", Some((Chroma::Yuv420, 8))),
            ("yuvj444p", Some((Chroma::Yuv444, 8))),
            ("yuv422p10le", Some((Chroma::Yuv422, 10))),
            ("gray12le", Some((Chroma::None, 12))),
            ("gbrp", Some((Chroma::Yuv444, 8))),
            ("yuv420p10be", None),
            ("yuva420p", None),
            ("grayf32le", None),
            ("gray8a", None),
            ("nv12", None),
        ] {
            assert_eq!(layout(name), expected, "{name}");
        }
    }
}
