//! What a type means beside how its values are stored, in words that go into field metadata.

use arrow_schema::{DataType, Field, TimeUnit};

/// Extension names that say what text and bytes are.
const EXTENSION: &str = "ARROW:extension:name";

/// What the values of a leaf mean where their stored type does not say it.
pub(crate) fn logical_of(field: &Field) -> Option<String> {
    let unit = |it: &TimeUnit| match it {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    };
    Some(match innermost(field.data_type()) {
        DataType::Timestamp(it, None) => format!("timestamp[{}]", unit(it)),
        DataType::Timestamp(it, Some(zone)) => format!("timestamp[{}, tz={zone}]", unit(it)),
        DataType::Duration(it) => format!("duration[{}]", unit(it)),
        DataType::Time32(it) | DataType::Time64(it) => format!("time[{}]", unit(it)),
        DataType::Date32 => "date32".to_owned(),
        DataType::Date64 => "date64[ms]".to_owned(),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => format!("decimal({precision}, {scale})"),
        DataType::FixedSizeBinary(16) if extension(field) == Some("arrow.uuid") => "uuid".to_owned(),
        DataType::FixedSizeBinary(n) => format!("fixed_size_binary[{n}]"),
        _ => return None,
    })
}

/// Whether the text of a leaf is JSON, as its writer says.
pub(crate) fn is_json(field: &Field) -> bool {
    extension(field) == Some("arrow.json")
}

fn extension(field: &Field) -> Option<&str> {
    field.metadata().get(EXTENSION).map(String::as_str)
}

/// The type of values that dictionaries and runs stand for.
fn innermost(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => innermost(values),
        DataType::RunEndEncoded(_, values) => innermost(values.data_type()),
        other => other,
    }
}

/// What two files mean together; `None` where they contradict each other. Times are stored in nanoseconds and decimals as text,
/// whatever their unit and precision were.
pub(crate) fn joined(one: &str, two: &str) -> Option<String> {
    if one == two {
        return Some(one.to_owned());
    }
    let parts = |it: &'_ str| -> Option<(String, String, String)> {
        let (kind, inside) = it.strip_suffix([']', ')'])?.split_once(['[', '('])?;
        let (first, rest) = inside.split_once(", ").unwrap_or((inside, ""));
        Some((kind.to_owned(), first.to_owned(), rest.to_owned()))
    };
    let ((kind, unit, zone), (other_kind, other_unit, other_zone)) = (parts(one)?, parts(two)?);
    match kind.as_str() {
        "timestamp" | "duration" | "time" if kind == other_kind && zone == other_zone => {
            Some(if is_finer(&other_unit, &unit) { two } else { one }.to_owned())
        }
        // Whatever the zones, both are moments; a time without a zone is none.
        "timestamp" if kind == other_kind && !zone.is_empty() && !other_zone.is_empty() => {
            let finer = if is_finer(&other_unit, &unit) { other_unit } else { unit };
            Some(format!("timestamp[{finer}, tz=UTC]"))
        }
        "decimal" if kind == other_kind => {
            let number = |it: &str| it.parse::<i32>().ok();
            // As many digits before and behind the point as either has.
            let (scale, other_scale) = (number(&zone)?, number(&other_zone)?);
            let whole = (number(&unit)? - scale).max(number(&other_unit)? - other_scale);
            let scale = scale.max(other_scale);
            Some(format!("decimal({}, {scale})", whole + scale))
        }
        _ => None,
    }
}

fn is_finer(unit: &str, than: &str) -> bool {
    const FINER: [&str; 4] = ["s", "ms", "us", "ns"];
    let rank = |it: &str| FINER.iter().position(|unit| *unit == it);
    rank(than) < rank(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meanings_join_where_values_are_the_same() {
        let check = |one: &str, two: &str, expected: Option<&str>| {
            assert_eq!(joined(one, two).as_deref(), expected, "{one} and {two}");
            assert_eq!(joined(two, one).as_deref(), expected, "{two} and {one}");
        };
        check("timestamp[us, tz=UTC]", "timestamp[ns, tz=UTC]", Some("timestamp[ns, tz=UTC]"));
        check("timestamp[us, tz=UTC]", "timestamp[us]", None);
        check("timestamp[us, tz=UTC]", "timestamp[ms, tz=Europe/Zurich]", Some("timestamp[us, tz=UTC]"));
        check("duration[s]", "duration[ms]", Some("duration[ms]"));
        check("timestamp[us]", "duration[us]", None);
        check("decimal(10, 2)", "decimal(9, 4)", Some("decimal(12, 4)"));
        check("date32", "date32", Some("date32"));
        check("date32", "date64[ms]", None);
        check("fixed_size_binary[4]", "fixed_size_binary[5]", None);
    }
}
