//! What the fuzz target `jsonl` does, for a few hundred seeded mutations on a stable compiler.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use nodedata_core::{
    ErrorKind, Files, Format as _, OpenOptions, OptionValue, ReadAt, Reference, Result, RowDeal, RowKey,
    Source,
};
use nodedata_io::MemoryFiles;
use nodedata_jsonl::JSONL;
use nodedata_testkit::reading::read;
use nodedata_testkit::{corpus, damaged::Random};

fn open(bytes: &[u8], options: &OpenOptions) -> Result<Box<dyn Source>> {
    let files = MemoryFiles::default().with("a.jsonl", bytes.to_vec()).with("sample-0009", &b"medium"[..]);
    JSONL.open(Arc::new(Rows(files)), options)
}

/// Rows in one file, and others that they may name.
struct Rows(MemoryFiles);

impl Files for Rows {
    fn list(&self) -> Result<Vec<PathBuf>> {
        Ok(vec!["a.jsonl".into()])
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn ReadAt>> {
        self.0.open(path)
    }
}

/// Some of the fixture: lines, from anywhere on, or a list of some.
fn some(whole: &[u8], is_list: bool, random: &mut Random) -> Vec<u8> {
    let start = random.below(whole.len() - 3000);
    let some = &whole[start..start + 3000];
    if !is_list {
        return some.to_vec();
    }
    let text = String::from_utf8_lossy(some);
    let rows: Vec<&str> = text.lines().filter(|it| it.starts_with('{') && it.ends_with('}')).collect();
    format!("[\n{}\n]", rows.join(",\n")).into_bytes()
}

/// Whatever happens to a file: no panic, every record has one fate, what one pass understood the other does, too, and
/// what was learned opens the file again.
#[test]
fn damaged_files_are_read_in_good_order() {
    let whole = std::fs::read(corpus::fixtures("jsonl").join("samples.jsonl")).unwrap();
    let mut random = Random::new(23);
    let (mut n_rows, mut n_damage, mut n_refused) = (0, 0, 0);
    for round in 0..400 {
        let mut damaged = some(&whole, round % 4 == 3, &mut random);
        random.damage(&mut damaged);
        let fractions = vec![("train".to_owned(), 0.8), ("val".to_owned(), 0.2)];
        let mut options = OpenOptions {
            partition_bytes: 1,
            deal: (round % 2 == 0).then(|| RowDeal { fractions, key: RowKey::Field("id".to_owned()) }),
            record_bytes_max: if round % 5 == 0 { 300 } else { 1 << 20 },
            salvage: round % 8 == 7,
            ..OpenOptions::default()
        };
        if round % 3 == 1 {
            options.options.insert("mixed".to_owned(), OptionValue::Text("text".to_owned()));
        }
        if round % 7 == 2 {
            options.embed.insert("id".to_owned(), Reference::Path);
            options.options.insert("missing".to_owned(), OptionValue::Text("null".to_owned()));
        }
        let source = match open(&damaged, &options) {
            Ok(source) => source,
            Err(err) => {
                let is_known = matches!(err.kind(), ErrorKind::Unsupported | ErrorKind::Config)
                    || err.to_string().contains("of the list")
                    || err.to_string().contains("the list ends");
                assert!(is_known, "round {round}: {err}");
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
                || err.to_string().contains("the element is")
                || err.to_string().contains("cannot be read")
                || err.to_string().contains("beyond 64 bits")
                || err.to_string().contains("the field `id`: ");
            assert!(is_of_the_line, "round {round}: {err}");
        }
        let learned = OpenOptions { learned: source.plan().learned.clone(), ..options };
        assert!(open(&damaged, &learned).unwrap().plan() == source.plan(), "round {round}");
    }
    assert!(n_rows > 1000 && n_damage > 100, "{n_rows} rows, {n_damage} damaged, {n_refused} refused");
}
