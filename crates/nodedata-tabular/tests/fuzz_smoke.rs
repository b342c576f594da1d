//! What the fuzz target `csv` does, for a few hundred seeded mutations on a stable compiler; and as many for Parquet.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod tables;

use std::sync::Arc;

use nodedata_core::{Format, OpenOptions, Result, RowDeal, RowKey, Source};
use nodedata_io::MemoryFiles;
use nodedata_tabular::{CSV, PARQUET};
use nodedata_testkit::damaged::Random;
use nodedata_testkit::reading::read;
use parquet::arrow::ArrowWriter;

fn open(format: &dyn Format, name: &str, bytes: &[u8], options: &OpenOptions) -> Result<Box<dyn Source>> {
    format.open(Arc::new(MemoryFiles::default().with(name, bytes.to_vec())), options)
}

fn deal(key: RowKey) -> Option<RowDeal> {
    Some(RowDeal { fractions: vec![("train".to_owned(), 0.8), ("val".to_owned(), 0.2)], key })
}

/// Whatever happens to a file: no panic, every record has one fate, and what was learned opens the file again.
#[test]
fn damaged_text_is_read_in_good_order() {
    let row = |it: usize| format!("{it},\"a,{it}\n\",{}.5,\"\"\r\n", it * 7);
    let whole = "id,text,x,y\n".to_owned() + &(0..80).map(row).collect::<String>();
    let mut random = Random::new(29);
    let (mut n_rows, mut n_damage, mut n_refused) = (0, 0, 0);
    for round in 0..600 {
        let mut damaged = whole.clone().into_bytes();
        random.damage(&mut damaged);
        let key = if round % 4 == 0 { RowKey::Field("id".to_owned()) } else { RowKey::Row };
        let options = OpenOptions {
            partition_bytes: 1,
            deal: if round % 2 == 0 { deal(key) } else { None },
            record_bytes_max: if round % 5 == 0 { 30 } else { 1 << 20 },
            ..OpenOptions::default()
        };
        let Ok(source) = open(&CSV, "a.csv", &damaged, &options) else {
            n_refused += 1;
            continue;
        };
        let (rows, damage) = read(source.as_ref());
        n_rows += rows.iter().map(|it| it.num_rows()).sum::<usize>();
        n_damage += damage.len();
        let learned = OpenOptions { learned: source.plan().learned.clone(), ..options };
        assert!(open(&CSV, "a.csv", &damaged, &learned).unwrap().plan() == source.plan(), "round {round}");
    }
    assert!(n_rows > 1000 && n_damage > 100, "{n_rows} rows, {n_damage} damaged, {n_refused} refused");
}

#[test]
fn damaged_parquet_is_read_in_good_order() {
    let mut random = Random::new(31);
    let (mut n_opened, mut n_refused) = (0, 0);
    for round in 0..600 {
        let written = tables::table(&mut random, 40, true);
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, written.schema(), None).unwrap();
        writer.write(&written).unwrap();
        writer.close().unwrap();
        random.damage(&mut bytes);
        let options = OpenOptions {
            partition_bytes: 100,
            salvage: round % 2 == 0,
            deal: if round % 3 == 0 { deal(RowKey::Field("c0".to_owned())) } else { None },
            ..OpenOptions::default()
        };
        match open(&PARQUET, "a.parquet", &bytes, &options) {
            Ok(source) => {
                n_opened += 1;
                for partition in 0..source.plan().partitions.len() {
                    let Ok(mut stream) = source.read(partition, &Default::default()) else { continue };
                    let mut n_kept = 0;
                    loop {
                        match stream.next_batch() {
                            Ok(Some(batch)) => n_kept += batch.rows.num_rows() as u64,
                            Ok(None) => break,
                            Err(err) => n_kept += err.loss().unwrap().records[0].1,
                        }
                    }
                    assert_eq!(stream.records_read()[0].1, n_kept);
                }
            }
            Err(_) => n_refused += 1,
        }
    }
    assert!(n_opened > 30 && n_refused > 100, "{n_opened} opened, {n_refused} refused");
}
