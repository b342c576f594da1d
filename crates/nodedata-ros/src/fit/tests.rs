use super::*;
use crate::DefinitionStore;

const RANGE: &str = "sensor_msgs/msg/Range";

/// A payload of `sensor_msgs/msg/Range`, with these values behind its frame.
fn range(frame: &str, values: &[f32]) -> Vec<u8> {
    let mut bytes = vec![0, 1, 0, 0];
    bytes.extend([7u32, 8, frame.len() as u32 + 1].iter().flat_map(|it| it.to_le_bytes()));
    bytes.extend(frame.bytes().chain([0, 1]));
    while !bytes.len().is_multiple_of(4) {
        bytes.push(0);
    }
    bytes.extend(values.iter().flat_map(|it| it.to_le_bytes()));
    bytes
}

#[track_caller]
fn taken(payloads: &[Vec<u8>], distros: &[&str]) -> String {
    let candidates = DefinitionStore::default().candidates(RANGE, distros);
    let payloads: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
    match fit(RANGE, &candidates, &payloads) {
        Fitted::Taken(idx) => format!("{:?}", candidates[idx].origin),
        other => format!("{other:?}"),
    }
}

#[test]
fn the_layout_goes_by_the_payloads() {
    let older = vec![range("a", &[0.1, 0.2, 0.3, 0.4]), range("abcd", &[0.5, 0.6, 0.7, 0.8])];
    let newer = vec![range("a", &[0.1, 0.2, 0.3, 0.4, 0.5])];
    // A variance of 0 looks like padding.
    let unknown = vec![range("a", &[0.1, 0.2, 0.3, 0.4, 0.0])];
    for distros in [&["humble"][..], &["jazzy"], &[]] {
        assert!(taken(&older, distros).contains("humble"), "{distros:?}");
        assert!(!taken(&newer, distros).contains("humble"), "{distros:?}");
        assert!(!taken(&unknown, distros).contains("humble"), "{distros:?}");
    }
    assert!(taken(&[], &["humble"]).contains("humble"));
    assert!(taken(&[], &[]).contains("lyrical"));
}

#[test]
fn one_payload_that_does_not_fit_says_no() {
    let mixed = vec![range("a", &[0.1, 0.2, 0.3, 0.4]), range("a", &[0.1, 0.2, 0.3, 0.4, 0.5])];
    assert_eq!(taken(&mixed, &[]), "None { consumed: 36, of: 40 }");
    assert_eq!(taken(&[vec![0, 1]], &[]), "None { consumed: 0, of: 2 }");
    assert_eq!(taken(&[vec![9; 40]], &[]), "None { consumed: 0, of: 40 }");
}

#[test]
fn a_text_that_is_none_leaves_the_choice_to_sizes() {
    let odd = |mut payload: Vec<u8>| {
        // The first byte of the frame, behind the header, the stamp and its length.
        payload[16] = 0xff;
        payload
    };
    let older = [range("a", &[0.1, 0.2, 0.3, 0.4]), odd(range("abcd", &[0.5, 0.6, 0.7, 0.8]))];
    let newer = [odd(range("a", &[0.1, 0.2, 0.3, 0.4, 0.5]))];
    let unknown = [odd(range("a", &[0.1, 0.2, 0.3, 0.4, 0.0]))];
    for distros in [&["humble"][..], &["jazzy"], &[]] {
        assert!(taken(&older, distros).contains("humble"), "{distros:?}");
        for newer in [&newer, &unknown] {
            let taken = taken(newer, distros);
            assert!(taken.contains("Distro") && !taken.contains("humble"), "{distros:?}: {taken}");
        }
    }
    // Bytes that nothing shows to be a text are none.
    let mut open_ended = newer[0].clone();
    open_ended[17] = 0xff;
    assert!(taken(&[open_ended], &[]).starts_with("None"));
    // What ends alike and has texts goes before.
    let candidate = |text: &str| Candidate { text: text.to_owned(), origin: crate::Origin::Given };
    let candidates = [candidate("string s"), candidate("uint8[] bytes"), candidate("string other")];
    let payload: &[u8] = &[0, 1, 0, 0, 2, 0, 0, 0, 0xff, 0];
    let found = fit("lab/msg/T", &candidates, &[payload]);
    assert!(matches!(found, Fitted::Taken(1)), "{found:?}");
    let found = fit("lab/msg/T", &[candidates[0].clone(), candidates[2].clone()], &[payload]);
    assert!(matches!(found, Fitted::Taken(0)), "{found:?}");
}

/// A wide text in units of some width behind a count of some units or bytes, a text of these bytes, and a number.
fn wide(n: u32, units: &[u32], width: usize, text: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 1, 0, 0];
    let mut word = |word: u32| bytes.extend(word.to_le_bytes());
    word(n);
    match width {
        4 => units.iter().for_each(|it| word(*it)),
        _ => units.chunks(2).for_each(|it| word(it.iter().rev().fold(0, |all, it| all << 16 | it))),
    }
    word(text.len() as u32 + 1);
    bytes.extend(text.iter().chain([&0]));
    while !bytes.len().is_multiple_of(4) {
        bytes.push(0);
    }
    bytes.extend(7u32.to_le_bytes());
    bytes
}

#[test]
fn wide_texts_leave_the_choice_to_sizes_as_well() {
    let candidate = |text: &str| Candidate { text: text.to_owned(), origin: crate::Origin::Given };
    let candidates = [candidate("wstring w\nuint32 n"), candidate("wstring w\nstring s\nuint32 n")];
    let word = [0x68, 0x69];
    for (n, width) in [(2, 2), (2, 4), (4, 2)] {
        let (sound, odd) = (wide(n, &word, width, b"on"), wide(n, &word, width, b"\xff"));
        for payloads in [&[&odd[..]][..], &[&sound, &odd], &[&odd, &sound]] {
            let found = fit("lab/msg/T", &candidates, payloads);
            assert!(matches!(found, Fitted::Taken(1)), "{n} units of {width} bytes: {found:?}");
        }
        // Half of a character.
        let half = wide(n, &[0xd83e, 0x69], width, b"on");
        let found = fit("lab/msg/T", &candidates, &[&half]);
        assert!(matches!(found, Fitted::Taken(1)), "{n} units of {width} bytes: {found:?}");
    }
}

#[test]
fn a_candidate_that_cannot_be_used_is_passed_over() {
    let candidate = |text: &str| Candidate { text: text.to_owned(), origin: crate::Origin::Given };
    let payload: &[u8] = &[0, 1, 0, 0, 5, 0, 0, 0];
    let (broken, good) = (candidate("lab/Gone gone"), candidate("int32 x"));
    let found = fit("lab/msg/T", &[broken.clone(), good], &[payload]);
    assert!(matches!(found, Fitted::Taken(1)), "{found:?}");
    let Fitted::Unusable(Some(err)) = fit("lab/msg/T", &[broken], &[payload]) else {
        panic!("it is unusable")
    };
    assert!(err.to_string().contains("lab/msg/Gone"), "{err}");
    assert!(matches!(fit("lab/msg/T", &[], &[payload]), Fitted::Unusable(None)));
}
