use std::fmt;

use base64::{
    Engine as _,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use nodedata_core::LeafId;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Unexpected, Visitor,
};

use super::{
    decode::untagged,
    describe::Scalar,
    non_finite::number,
    row::{Row, with_json_text},
};

/// Standard alphabet; writers disagree on padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// Pushes one value to a column, without its validity. Tells whether there was one: `false` means null,
/// for which nothing was pushed.
pub(super) struct ScalarSeed<'a, 'c> {
    pub(super) id: LeafId,
    pub(super) scalar: Scalar,
    pub(super) nullable: bool,
    pub(super) row: &'a mut Row<'c>,
}

impl ScalarSeed<'_, '_> {
    fn push(self, value: [u8; 8]) {
        self.row.columns.push_le(self.id, &value);
    }

    /// The medium that a text refers to.
    fn medium<E: Error>(self, reference: &str) -> Result<bool, E> {
        match self.row.media.take(reference) {
            Some(Some(medium)) => {
                self.row.spend(medium.len())?;
                self.row.columns.push_bytes(self.id, &medium);
                Ok(true)
            }
            Some(None) if self.nullable => Ok(false),
            Some(None) | None => Err(E::custom(format_args!("nothing is at hand for `{reference}`"))),
        }
    }

    /// A whole number into a column of whole numbers or of floats that hold it exactly.
    fn whole<E: Error>(self, value: i128) -> Result<bool, E> {
        match self.scalar {
            Scalar::Int64 => match i64::try_from(value) {
                Ok(value) => self.push(value.to_le_bytes()),
                Err(_) => return Err(E::custom(format_args!("{value} does not fit int64"))),
            },
            Scalar::UInt64 => match u64::try_from(value) {
                Ok(value) => self.push(value.to_le_bytes()),
                Err(_) => return Err(E::custom(format_args!("{value} does not fit uint64"))),
            },
            Scalar::Float64 => {
                let float = value as f64;
                // The cast saturates, so the way back tells whether digits were lost.
                if float as i128 != value {
                    return Err(E::custom(format_args!("{value} does not fit float64 exactly")));
                }
                self.push(float.to_le_bytes());
            }
            Scalar::Bool
            | Scalar::String
            | Scalar::Bytes
            | Scalar::Nanos
            | Scalar::JsonText
            | Scalar::Media => {
                return match (u64::try_from(value), i64::try_from(value)) {
                    (Ok(value), _) => Err(E::invalid_type(Unexpected::Unsigned(value), &self)),
                    (_, Ok(value)) => Err(E::invalid_type(Unexpected::Signed(value), &self)),
                    _ => Err(E::invalid_type(Unexpected::Other("number"), &self)),
                };
            }
        }
        Ok(true)
    }
}

impl<'de> DeserializeSeed<'de> for ScalarSeed<'_, '_> {
    type Value = bool;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<bool, D::Error> {
        if self.scalar != Scalar::JsonText {
            return from.deserialize_any(self);
        }
        let Self { id, nullable, row, .. } = self;
        with_json_text(from, row, |columns, text| {
            let is_present = !nullable || text != b"null";
            if is_present {
                columns.push_bytes(id, text);
            }
            is_present
        })
    }
}

impl<'de> Visitor<'de> for ScalarSeed<'_, '_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.scalar {
            Scalar::Bool => "true or false",
            Scalar::Int64 => "a whole number (int64)",
            Scalar::UInt64 => "a whole number (uint64)",
            Scalar::Float64 => "a number (float64)",
            Scalar::String => "text",
            Scalar::Bytes => "bytes",
            Scalar::Nanos => "a time as {sec, nsec}",
            Scalar::JsonText => "any value",
            Scalar::Media => "text that refers to a medium",
        })
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        if self.nullable { Ok(false) } else { Err(E::invalid_type(Unexpected::Other("null"), &self)) }
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<bool, E> {
        if self.scalar != Scalar::Bool {
            return Err(E::invalid_type(Unexpected::Bool(value), &self));
        }
        self.row.columns.push_bool(self.id, value);
        Ok(true)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<bool, E> {
        self.whole(i128::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<bool, E> {
        self.whole(i128::from(value))
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<bool, E> {
        self.whole(value)
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<bool, E> {
        match i128::try_from(value) {
            Ok(value) => self.whole(value),
            Err(_) => Err(E::custom(format_args!("{value} does not fit"))),
        }
    }

    #[inline]
    fn visit_f64<E: Error>(self, value: f64) -> Result<bool, E> {
        // Beyond 2^53 a float no longer names one whole number.
        const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
        // 2^63: whole numbers that the parser hands out as floats are not nearer to 0.
        const ROUNDED_MIN: f64 = 9_223_372_036_854_775_808.0;
        match self.scalar {
            Scalar::Float64 => {
                self.row.may_be_rounded |= ROUNDED_MIN <= value.abs();
                self.push(value.to_le_bytes());
                Ok(true)
            }
            // `1.0` is an integer to JSON Schema.
            Scalar::Int64 | Scalar::UInt64 if value.fract() == 0.0 && value.abs() <= EXACT_MAX => {
                self.whole(value as i128)
            }
            _ => Err(E::invalid_type(Unexpected::Float(value), &self)),
        }
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<bool, E> {
        // No text at all, whatever the column holds.
        if let Some(number) = number(value) {
            return self.visit_f64(number);
        }
        match self.scalar {
            Scalar::Media => return self.medium(value),
            Scalar::String => self.row.columns.push_bytes(self.id, value.as_bytes()),
            Scalar::Bytes => {
                let scratch = &mut self.row.scratch;
                scratch.clear();
                BASE64.decode_vec(value, scratch).map_err(|err| E::custom(format_args!("base64: {err}")))?;
                self.row.columns.push_bytes(self.id, scratch);
            }
            _ => return Err(E::invalid_type(Unexpected::Str(value), &self)),
        }
        Ok(true)
    }

    fn visit_bytes<E: Error>(self, value: &[u8]) -> Result<bool, E> {
        if self.scalar != Scalar::Bytes {
            return Err(E::invalid_type(Unexpected::Other("a byte string"), &self));
        }
        self.row.columns.push_bytes(self.id, value);
        Ok(true)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<bool, A::Error> {
        if self.scalar != Scalar::Bytes {
            return Err(Error::invalid_type(Unexpected::Seq, &self));
        }
        let scratch = &mut self.row.scratch;
        scratch.clear();
        while let Some(byte) = items.next_element::<u8>()? {
            scratch.push(byte);
        }
        self.row.columns.push_bytes(self.id, scratch);
        Ok(true)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<bool, A::Error> {
        if self.scalar != Scalar::Nanos {
            return Err(Error::invalid_type(Unexpected::Map, &self));
        }
        let (mut seconds, mut nanos) = (None, None);
        while let Some(part) = entries.next_key_seed(TimePart::default())? {
            let value: i64 = entries.next_value()?;
            let slot = if part == TimePart::Seconds { &mut seconds } else { &mut nanos };
            if slot.replace(value).is_some() {
                return Err(Error::custom("a part of the time appears twice"));
            }
        }
        let seconds = seconds.ok_or_else(|| A::Error::missing_field("sec"))?;
        let nanos = nanos.ok_or_else(|| A::Error::missing_field("nsec"))?;
        // Only then do seconds and nanoseconds come back from their sum.
        if !(0..NANOS_PER_SECOND).contains(&nanos) {
            return Err(Error::custom(format_args!("{nanos} nanoseconds are not within one second")));
        }
        let sum = seconds.checked_mul(NANOS_PER_SECOND).and_then(|it| it.checked_add(nanos));
        let sum =
            sum.ok_or_else(|| A::Error::custom(format_args!("{seconds} s do not fit int64 nanoseconds")))?;
        self.push(sum.to_le_bytes());
        Ok(true)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<bool, A::Error> {
        untagged(tagged, self)
    }
}

/// A key of `{sec, nsec}`.
#[derive(Default, PartialEq, Eq)]
enum TimePart {
    #[default]
    Seconds,
    Nanos,
}

impl<'de> DeserializeSeed<'de> for TimePart {
    type Value = Self;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self, D::Error> {
        from.deserialize_any(self)
    }
}

impl Visitor<'_> for TimePart {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`sec` or `nsec`")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self, E> {
        match key {
            "sec" => Ok(Self::Seconds),
            "nsec" => Ok(Self::Nanos),
            _ => Err(E::unknown_field(key, &["sec", "nsec"])),
        }
    }
}
