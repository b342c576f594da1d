use csv_core::{ReadFieldResult, ReaderBuilder, Terminator};
use proptest::prelude::*;

use super::{super::records::Ends, *};

fn told(row: Row<'_>) -> Vec<String> {
    let told = row.iter().map(|it| {
        let text = String::from_utf8_lossy(it.bytes).into_owned();
        if it.is_quoted { format!("<{text}>") } else { text }
    });
    told.collect()
}

fn parsed(record: &str) -> Result<Vec<String>, Flaw> {
    let mut fields = Fields::new(Dialect::default());
    let found = fields.parse(record.as_bytes()).map(told);
    // The next record is not affected.
    assert_eq!(told(fields.parse(b"x,\"y\",\"\"\"\"").unwrap()), ["x", "<y>", "<\">"]);
    found
}

#[test]
fn quotes_are_taken_off_and_remembered() {
    assert_eq!(parsed("a,,\"b\",\"\"").unwrap(), ["a", "", "<b>", "<>"]);
    assert_eq!(parsed("\"a\"\"b\",\"c\nd\",e\"f").unwrap(), ["<a\"b>", "<c\nd>", "e\"f"]);
    assert_eq!(parsed("\"\"\"\",\"\"\"a\"\"\",\"b\"").unwrap(), ["<\">", "<\"a\">", "<b>"]);
    assert_eq!(parsed(",").unwrap(), ["", ""]);
    assert_eq!(parsed("\"a\",").unwrap(), ["<a>", ""]);
    assert_eq!(parsed("a\r").unwrap(), ["a\r"]);
    assert_eq!(parsed("\u{feff}a,b").unwrap(), ["\u{feff}a", "b"]);
    assert_eq!(parsed("ä,\u{1f600}").unwrap(), ["ä", "\u{1f600}"]);
}

#[test]
fn what_is_wrong_has_its_place() {
    let wrong = |record: &str| {
        let flaw = parsed(record).unwrap_err();
        (flaw.at, flaw.message)
    };
    assert_eq!(wrong("a,\"b\"c"), (5, "text follows the quote that ends the field".to_owned()));
    assert_eq!(wrong("\"b\"c,d"), (3, "text follows the quote that ends the field".to_owned()));
    assert_eq!(wrong("a,\"b,c"), (2, OPEN_QUOTE.to_owned()));
    assert_eq!(wrong("a,\""), (2, OPEN_QUOTE.to_owned()));
    assert_eq!(wrong("a,\"b\"\""), (2, OPEN_QUOTE.to_owned()));
    assert_eq!(wrong("a,b\0"), (3, "the row has a NUL byte".to_owned()));
}

#[test]
fn only_plain_bytes_are_plain() {
    for byte in 0..=u8::MAX {
        let is = is_plain(&[&b"0123456789abcdef-"[..], &[byte], b"x"].concat());
        assert_eq!(is, (1..0x80).contains(&byte), "{byte}");
    }
    let mut fields = Fields::new(Dialect::default());
    assert_eq!(fields.parse(b"a,\xC3\xA4,\x80").unwrap().check_text().unwrap_err().at, 5);
    assert!(fields.parse("a,ä".as_bytes()).unwrap().check_text().is_ok());
}

/// The fields of a text's only record, as `csv-core` takes them apart; `None` where a quote is open at its end.
fn by_oracle(record: &[u8], dialect: Dialect) -> Option<Vec<Vec<u8>>> {
    let mut builder = ReaderBuilder::new();
    builder.delimiter(dialect.delimiter).terminator(Terminator::Any(dialect.terminator));
    match dialect.quote {
        Some(quote) => builder.quote(quote),
        None => builder.quoting(false),
    };
    let mut reader = builder.build();
    // A reader takes the mark of UTF-8 files off what comes first.
    let text = [b"x", &[dialect.terminator][..], record, &[dialect.terminator]].concat();
    let (mut at, mut out, mut n_out, mut rows) = (0, vec![0; text.len() + 1], 0, vec![Vec::new()]);
    loop {
        let (result, n_in, n) = reader.read_field(text.get(at..).unwrap_or_default(), &mut out[n_out..]);
        (at, n_out) = (at + n_in, n_out + n);
        match result {
            ReadFieldResult::Field { record_end } => {
                let field = out[..n_out].to_vec();
                n_out = 0;
                rows.last_mut()?.push(field);
                if record_end {
                    rows.push(Vec::new());
                }
                if record_end && at == text.len() {
                    rows.pop();
                    assert_eq!(rows.len(), 2, "one record");
                    return rows.pop();
                }
            }
            // A line's end inside of quotes.
            ReadFieldResult::InputEmpty if at == text.len() => return None,
            other => assert_eq!(other, ReadFieldResult::InputEmpty),
        }
    }
}

fn dialect() -> impl Strategy<Value = Dialect> {
    let delimiter = prop_oneof![Just(b','), Just(b'\t'), Just(b';'), Just(b'|'), Just(b' ')];
    let quote = prop_oneof![4 => Just(Some(b'"')), 1 => Just(Some(b'\'')), 1 => Just(None)];
    let terminator = prop_oneof![3 => Just(b'\n'), 1 => Just(b'\r')];
    (delimiter, quote, terminator).prop_map(|(delimiter, quote, terminator)| Dialect {
        delimiter,
        quote,
        terminator,
        has_header: true,
    })
}

/// Text in which what separates, quotes and ends is frequent.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        4 => Just(b'a'),
        2 => Just(b'7'),
        3 => Just(b','),
        4 => Just(b'"'),
        1 => Just(b'\''),
        2 => Just(b'\n'),
        1 => Just(b'\r'),
        1 => prop_oneof![Just(b'\t'), Just(b';'), Just(b'|'), Just(b' ')],
        1 => any::<u8>(),
    ];
    // Fields that are whole with their quotes, too: of single bytes hardly any come.
    let pieces = prop_oneof![
        3 => byte.prop_map(|it| vec![it]),
        1 => Just(b"\"b\"\"c,\n\"".to_vec()),
        1 => Just(b",\"long text, with a separator\",".to_vec()),
        1 => Just(b",0.12345678901234567,".to_vec()),
    ];
    prop::collection::vec(pieces, 1..40).prop_map(|it| it.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every record of a text, however ragged, has the fields that `csv-core` finds in it, but for those that are refused.
    #[test]
    fn records_are_taken_apart_as_csv_core_does((text, dialect) in (text(), dialect())) {
        let mut fields = Fields::new(dialect);
        let (mut ends, mut rest) = (Ends::new(dialect), &text[..]);
        while !rest.is_empty() {
            let n = ends.feed(rest);
            let (whole, behind) = rest.split_at(n.unwrap_or(rest.len()));
            rest = behind;
            let record = whole.strip_suffix(&[dialect.terminator]).filter(|_| n.is_some()).unwrap_or(whole);
            if record.is_empty() || record.contains(&0) {
                continue;
            }
            let expected = by_oracle(record, dialect);
            match fields.parse(record) {
                Ok(row) => {
                    let found: Vec<Vec<u8>> = row.iter().map(|it| it.bytes.to_vec()).collect();
                    prop_assert_eq!(Some(found), expected);
                    for (field, next) in row.iter().zip(row.iter().skip(1)) {
                        prop_assert_eq!(record[next.at - 1], dialect.delimiter);
                        prop_assert_eq!(field.is_quoted, Some(record[field.at]) == dialect.quote);
                    }
                }
                Err(flaw) if flaw.message == OPEN_QUOTE => {
                    prop_assert_eq!(Some(record[flaw.at]), dialect.quote);
                    prop_assert!(n.is_none() && expected.is_none(), "{:?}", record);
                }
                // `csv-core` takes what follows for a part of the field.
                Err(flaw) => {
                    prop_assert_eq!(Some(record[flaw.at - 1]), dialect.quote);
                    prop_assert!(record[flaw.at] != dialect.delimiter);
                }
            }
        }
    }
}
