/// Whether an mp4 file has tracks, and none of them is video. `false` where it does not tell, as of its beginning alone.
pub(super) fn are_sound_alone(file: &[u8]) -> bool {
    let Some(moov) = inside(file, *b"moov").next() else { return false };
    let mut has_tracks = false;
    for track in inside(moov, *b"trak") {
        let media = inside(track, *b"mdia").next();
        // Version, flags and a word of QuickTime's stand before it.
        let handler = media.and_then(|it| inside(it, *b"hdlr").next()).and_then(|it| it.get(8..12));
        if handler == Some(b"vide") {
            return false;
        }
        has_tracks |= handler == Some(b"soun");
    }
    has_tracks
}

/// The insides of the boxes of a kind among those that follow each other, as far as they are whole.
fn inside(boxes: &[u8], kind: [u8; 4]) -> impl Iterator<Item = &[u8]> {
    let mut rest = boxes;
    let all = std::iter::from_fn(move || {
        let (found, payload, behind) = split_box(rest)?;
        rest = behind;
        Some((found, payload))
    });
    all.filter(move |it| it.0 == kind).map(|it| it.1)
}

/// Kind and inside of the first box, and what follows it.
fn split_box(bytes: &[u8]) -> Option<([u8; 4], &[u8], &[u8])> {
    let short = u32::from_be_bytes(*bytes.first_chunk()?);
    let kind = *bytes.get(4..)?.first_chunk()?;
    let (n_header, n_bytes) = match short {
        // It goes on to the end.
        0 => (8, bytes.len()),
        1 => (16, usize::try_from(u64::from_be_bytes(*bytes.get(8..)?.first_chunk()?)).ok()?),
        n => (8, usize::try_from(n).ok()?),
    };
    let (whole, behind) = bytes.split_at_checked(n_bytes)?;
    Some((kind, whole.get(n_header..)?, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_box(kind: &[u8; 4], inside: &[u8]) -> Vec<u8> {
        [(8 + inside.len() as u32).to_be_bytes().as_slice(), kind, inside].concat()
    }

    fn track(handler: &[u8; 4]) -> Vec<u8> {
        let hdlr = a_box(b"hdlr", &[[0; 8].as_slice(), handler, &[0; 13]].concat());
        a_box(b"trak", &[a_box(b"tkhd", &[0; 84]), a_box(b"mdia", &hdlr)].concat())
    }

    fn file(tracks: &[&[u8; 4]]) -> Vec<u8> {
        let tracks: Vec<u8> = tracks.iter().flat_map(|it| track(it)).collect();
        let moov = a_box(b"moov", &[a_box(b"mvhd", &[0; 100]), tracks].concat());
        [a_box(b"ftyp", b"isom\0\0\0\0"), a_box(b"mdat", &[7; 1000]), moov].concat()
    }

    #[test]
    fn tracks_tell_whether_there_is_video() {
        for (tracks, expected) in [
            (&[b"soun"][..], true),
            (&[b"vide"], false),
            (&[b"soun", b"vide"], false),
            (&[b"soun", b"text"], true),
            (&[b"text"], false),
            (&[], false),
        ] {
            let file = file(tracks);
            assert_eq!(are_sound_alone(&file), expected, "{tracks:?}");
            // No beginning of it tells, and none is read behind its end.
            assert!((0..file.len()).all(|it| !are_sound_alone(&file[..it])), "{tracks:?}");
        }
        let long = [b"\0\0\0\x01mdat".as_slice(), &20u64.to_be_bytes(), &[0; 4]].concat();
        let moov = a_box(b"moov", &track(b"soun"));
        assert!(are_sound_alone(&[a_box(b"ftyp", b"isom"), long, moov.clone()].concat()));
        let mut last = moov;
        last[..4].fill(0);
        assert!(are_sound_alone(&last));
        for lying in [&[0, 0, 0, 7][..], &[0xff; 4], &[0, 0, 0, 1]] {
            assert!(!are_sound_alone(&[lying, b"moov", &[0xff; 40]].concat()), "{lying:?}");
        }
    }
}
