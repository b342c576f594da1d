//! What the fuzz targets `tar` and `npy` do, for a few hundred seeded mutations on a stable compiler.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod built;

use built::{Tar, deal, floats, gzip, npy, open, zip};
use nodedata_core::{OpenOptions, RowKey};
use nodedata_testkit::{damaged::Random, reading::read};

/// Whatever happens to an archive: no panic, every sample has one fate, and what was learned opens it again.
#[test]
fn damaged_archives_are_read_in_good_order() {
    let sample = |tar: Tar, it: u32| {
        let key = format!("{it:02}");
        tar.records(b'x', &format!("21 path=long/{key}.json\n"))
            .file(&format!("{key}.json"), format!(r#"{{"n": {it}}}"#))
            .file(&format!("long/{key}.npy"), npy("<f4", "(1, 2)", &floats(&[it as f32, 0.5])))
            .file(&format!("long/{key}.mp"), [0x81, 0xa1, b'x', it as u8])
            .file(&format!("long/{key}.txt.gz"), gzip(b"text"))
            .file(&format!("long/{key}.npz"), zip(&[("x.npy", &npy("|u1", "(3,)", &[1, 2, 3]))], None))
            .file(&format!("long/{key}.cls"), it.to_string())
    };
    let whole = (0..6).fold(Tar::default(), sample).end();
    let mut random = Random::new(31);
    let (mut n_rows, mut n_damage, mut n_refused) = (0, 0, 0);
    for round in 0..600 {
        let mut damaged = whole.clone();
        random.damage(&mut damaged);
        let options = OpenOptions {
            partition_bytes: 1,
            salvage: round % 3 != 0,
            deal: (round % 2 == 0).then(|| deal(RowKey::Field("cls".to_owned()))),
            record_bytes_max: if round % 5 == 0 { 100 } else { 1 << 20 },
            ..OpenOptions::default()
        };
        let source = match open(&damaged, &options) {
            Ok(source) => source,
            Err(err) => {
                assert!(err.locus().path.is_some() || err.hint().is_some(), "round {round}: {err}");
                n_refused += 1;
                continue;
            }
        };
        let (rows, damage) = read(source.as_ref());
        n_rows += rows.iter().map(|it| it.num_rows()).sum::<usize>();
        for err in damage {
            assert!(err.locus().path.is_some() && err.hint().is_some(), "round {round}: {err}");
            n_damage += 1;
        }
        let learned = OpenOptions { learned: source.plan().learned.clone(), ..options };
        assert!(open(&damaged, &learned).unwrap().plan() == source.plan(), "round {round}");
    }
    assert!(
        n_rows > 500 && n_damage > 8 && n_refused > 20,
        "{n_rows} rows, {n_damage} lost, {n_refused} refused"
    );
}

/// Arrays of any bytes, alone and in archives of their own.
#[test]
fn damaged_arrays_are_read_in_good_order() {
    let arrays = [
        npy("<f4", "(2, 3)", &[0; 24]),
        npy(">i2", "(4,)", &[0; 8]),
        npy("|b1", "()", &[1]),
        npy("<f8", "(0, 7)", b""),
    ];
    let mut random = Random::new(37);
    let (mut n_rows, mut n_damage) = (0, 0);
    for round in 0..800usize {
        let good = &arrays[round % arrays.len()];
        let is_zip = round % 3 == 0;
        let pack = |it: &[u8]| if is_zip { zip(&[("x.npy", it)], None) } else { it.to_vec() };
        let mut damaged = match round % 2 {
            0 => pack(good),
            _ => good.clone(),
        };
        random.damage(&mut damaged);
        let name = if is_zip { "npz" } else { "npy" };
        let tar = Tar::default().file(&format!("a.{name}"), pack(good)).file(&format!("b.{name}"), &damaged);
        let source = open(&tar.end(), &OpenOptions::default()).unwrap();
        let (rows, damage) = read(source.as_ref());
        n_rows += rows.iter().map(|it| it.num_rows()).sum::<usize>();
        n_damage += damage.len();
        assert_eq!(source.plan().episodes.len(), 1);
    }
    assert!(n_rows > 800 && n_damage > 100, "{n_rows} rows, {n_damage} lost");
}
