//! What the fuzz target `jsonl` does, for a few hundred seeded mutations on a stable compiler.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod rows;

use std::sync::Arc;

use nodedata_core::{ErrorKind, Format as _, OpenOptions, Result, RowDeal, RowKey, Source};
use nodedata_io::MemoryFiles;
use nodedata_jsonl::JSONL;
use nodedata_testkit::{corpus, damaged::Random};
use rows::read;

fn open(bytes: &[u8], options: &OpenOptions) -> Result<Box<dyn Source>> {
    JSONL.open(Arc::new(MemoryFiles::default().with("a.jsonl", bytes.to_vec())), options)
}

/// Whatever happens to a file: no panic, every record has one fate, what one pass understood the other does, too, and
/// what was learned opens the file again.
#[test]
fn damaged_files_are_read_in_good_order() {
    let whole = std::fs::read(corpus::fixtures("jsonl").join("samples.jsonl")).unwrap();
    let mut random = Random::new(23);
    let (mut n_rows, mut n_damage, mut n_refused) = (0, 0, 0);
    for round in 0..400 {
        let start = random.below(whole.len() - 3000);
        let mut damaged = whole[start..start + 3000].to_vec();
        random.damage(&mut damaged);
        let fractions = vec![("train".to_owned(), 0.8), ("val".to_owned(), 0.2)];
        let options = OpenOptions {
            partition_bytes: 1,
            deal: (round % 2 == 0).then(|| RowDeal { fractions, key: RowKey::Field("id".to_owned()) }),
            record_bytes_max: if round % 5 == 0 { 300 } else { 1 << 20 },
            ..OpenOptions::default()
        };
        let source = match open(&damaged, &options) {
            Ok(source) => source,
            Err(err) => {
                assert!(matches!(err.kind(), ErrorKind::Unsupported | ErrorKind::Config), "{err}");
                n_refused += 1;
                continue;
            }
        };
        let (rows, damage) = read(source.as_ref());
        n_rows += rows.iter().map(|it| it.num_rows()).sum::<usize>();
        n_damage += damage.len();
        for err in damage {
            let is_of_the_line = err.kind() == ErrorKind::Limit
                || err.to_string().contains("the line is")
                || err.to_string().contains("cannot be read")
                || err.to_string().contains("beyond 64 bits");
            assert!(is_of_the_line, "round {round}: {err}");
        }
        let learned = OpenOptions { learned: source.plan().learned.clone(), ..options };
        assert!(open(&damaged, &learned).unwrap().plan() == source.plan(), "round {round}");
    }
    assert!(n_rows > 1000 && n_damage > 100, "{n_rows} rows, {n_damage} damaged, {n_refused} refused");
}
