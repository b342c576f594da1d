//! Points of `sensor_msgs/PointCloud2` as numbers.
//! Source: <https://docs.ros.org/en/rolling/p/sensor_msgs/msg/PointCloud2.html> and `PointField`.

use std::{ops::Range, sync::Arc};

use arrow_array::{
    Array, ArrayRef, BinaryArray, FixedSizeListArray, Float32Array, Int64Array, ListArray, StringArray,
    cast::AsArray, types::Int64Type,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::DataType;
use nodedata_core::{DType, Dim, Feature, Storage, meta, suggest};

use crate::{
    cast::{Misfit, cast},
    flat::{Flat, Starts},
};

/// Points of clouds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Points {
    pub(super) fields: Vec<String>,
    pub(super) max: Option<u32>,
    pub(super) fill: bool,
    /// What comes of it.
    pub(super) feature: Feature,
}

/// The bytes of a cloud's points, and where in them its fields lie.
struct Cloud<'a> {
    bytes: &'a [u8],
    width: usize,
    n_points: usize,
    point_step: usize,
    row_step: usize,
    is_bigendian: bool,
}

/// A field of a point.
struct Member {
    offset: usize,
    kind: Kind,
}

/// Types of `PointField.datatype`, 1 to 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Int8,
    UInt8,
    Int16,
    UInt16,
    Int32,
    UInt32,
    Float32,
    Float64,
}

impl Kind {
    fn of(datatype: i64) -> Option<Self> {
        const ALL: [Kind; 8] = [
            Kind::Int8,
            Kind::UInt8,
            Kind::Int16,
            Kind::UInt16,
            Kind::Int32,
            Kind::UInt32,
            Kind::Float32,
            Kind::Float64,
        ];
        ALL.get(usize::try_from(datatype).ok()?.checked_sub(1)?).copied()
    }

    fn n_bytes(self) -> usize {
        match self {
            Self::Int8 | Self::UInt8 => 1,
            Self::Int16 | Self::UInt16 => 2,
            Self::Int32 | Self::UInt32 | Self::Float32 => 4,
            Self::Float64 => 8,
        }
    }
}

/// The columns beside the bytes of clouds, in the order of `POINT_COLUMNS`.
struct Columns<'a> {
    bytes: &'a BinaryArray,
    height: Int64Array,
    width: Int64Array,
    point_step: Int64Array,
    row_step: Int64Array,
    is_bigendian: Int64Array,
    names: Members<StringArray>,
    offsets: Members<Int64Array>,
    datatypes: Members<Int64Array>,
    counts: Members<Int64Array>,
}

/// A list of values in each row.
struct Members<A> {
    values: A,
    offsets: OffsetBuffer<i32>,
}

impl<A> Members<A> {
    fn of(&self, row: usize) -> Range<usize> {
        self.offsets[row] as usize..self.offsets[row + 1] as usize
    }
}

impl Points {
    /// Points of a feature that holds the bytes of clouds.
    pub(super) fn new(fields: &[String], max: Option<u32>, fill: bool, feature: &Feature) -> Self {
        let n_fields = u32::try_from(fields.len()).unwrap_or(u32::MAX);
        let n_points = max.filter(|_| fill).map_or(Dim::Variable, Dim::Fixed);
        let mut feature = Feature {
            dtype: DType::Float32,
            shape: vec![n_points, Dim::Fixed(n_fields)],
            storage: Storage::Plain,
            ..feature.clone()
        };
        for fact in [meta::SOURCE_TYPE, meta::CONSTANTS, meta::ENCODING] {
            feature.metadata.remove(fact);
        }
        let feature = feature.with_meta(meta::NAMES, serde_json::json!(fields).to_string());
        Self { fields: fields.to_vec(), max, fill, feature }
    }

    /// Bytes of what comes of one row where every row has as many points; 0 where each has its own.
    pub(super) fn row_bytes(&self) -> usize {
        let values = |it: u32| (it as usize).saturating_mul(self.fields.len());
        self.max.filter(|_| self.fill).map_or(0, values).saturating_mul(size_of::<f32>())
    }

    /// The points of each row. `beside` are the columns of `POINT_COLUMNS`.
    ///
    /// # Errors
    /// The first row whose cloud has no such fields, or does not say what its bytes are.
    pub(super) fn apply(&self, bytes: &ArrayRef, beside: &[&ArrayRef]) -> Result<ArrayRef, Misfit> {
        let columns = Columns::of(bytes, beside)?;
        let n_fields = self.fields.len();
        let mut values: Vec<f32> = Vec::new();
        let mut n_points = Vec::with_capacity(bytes.len());
        let n_filled = self.max.filter(|_| self.fill).map(|it| it as usize);
        for row in 0..bytes.len() {
            let start = values.len();
            let mut n = 0;
            if bytes.is_valid(row) {
                let misfit = |message| Misfit { idx: row, message };
                let cloud = columns.cloud(row).map_err(misfit)?;
                // A cloud without points need not say what they would be.
                let members = match cloud.n_points {
                    0 => Vec::new(),
                    _ => columns.members(row, &self.fields, cloud.point_step).map_err(misfit)?,
                };
                n = self.max.map_or(cloud.n_points, |it| cloud.n_points.min(it as usize));
                values.resize(start + n * n_fields, 0.0);
                for (idx, member) in members.iter().enumerate() {
                    let places =
                        values.get_mut(start + idx..).unwrap_or_default().iter_mut().step_by(n_fields);
                    cloud.read(member, n, places);
                }
            }
            if let Some(n_filled) = n_filled {
                values.resize(start + n_filled * n_fields, f32::NAN);
            }
            n_points.push(n);
            if i32::try_from(values.len()).is_err() {
                let message =
                    "the points of one batch are more than 2^31 values; `max` takes fewer".to_owned();
                return Err(Misfit { idx: row, message });
            }
        }
        self.column(values, n_points, bytes.nulls().cloned())
    }

    fn column(
        &self,
        values: Vec<f32>,
        n_points: Vec<usize>,
        nulls: Option<NullBuffer>,
    ) -> Result<ArrayRef, Misfit> {
        let values: ArrayRef = Arc::new(Float32Array::from(values));
        let wanted = self.feature.arrow_type();
        let DataType::List(item) = &wanted else {
            let each = self.feature.shape.iter().map(|it| match it {
                Dim::Fixed(n) => *n as usize,
                Dim::Variable => 0,
            });
            let starts = Starts::Each(each.product());
            return Ok(Flat { values, starts, valid: nulls }.into_column(&self.feature));
        };
        let misfit = |err: arrow_schema::ArrowError| Misfit { idx: 0, message: err.to_string() };
        let DataType::FixedSizeList(inner, n) = item.data_type() else {
            return Err(Misfit { idx: 0, message: format!("{wanted} holds no points") });
        };
        let points = FixedSizeListArray::try_new(Arc::clone(inner), *n, values, None).map_err(misfit)?;
        let offsets = OffsetBuffer::from_lengths(n_points);
        let lists = ListArray::try_new(Arc::clone(item), offsets, Arc::new(points), nulls);
        Ok(Arc::new(lists.map_err(misfit)?))
    }
}

impl<'a> Columns<'a> {
    fn of(bytes: &'a ArrayRef, beside: &[&ArrayRef]) -> Result<Self, Misfit> {
        let [height, width, point_step, row_step, is_bigendian, names, offsets, datatypes, counts] = beside
        else {
            return Err(Misfit { idx: 0, message: "the columns of a point cloud are not there".to_owned() });
        };
        let whole = |it: &ArrayRef| -> Result<Int64Array, Misfit> {
            Ok(cast(it, DType::Int64)?.as_primitive::<Int64Type>().clone())
        };
        let members = |it: &ArrayRef| -> Result<Members<Int64Array>, Misfit> {
            let list = it.as_list::<i32>();
            let values = cast(list.values(), DType::Int64)?;
            Ok(Members {
                values: values.as_primitive::<Int64Type>().clone(),
                offsets: list.offsets().clone(),
            })
        };
        let list = names.as_list::<i32>();
        Ok(Self {
            bytes: bytes.as_binary::<i32>(),
            height: whole(height)?,
            width: whole(width)?,
            point_step: whole(point_step)?,
            row_step: whole(row_step)?,
            is_bigendian: whole(is_bigendian)?,
            names: Members {
                values: list.values().as_string::<i32>().clone(),
                offsets: list.offsets().clone(),
            },
            offsets: members(offsets)?,
            datatypes: members(datatypes)?,
            counts: members(counts)?,
        })
    }

    /// Sizes of a cloud, held against its bytes.
    fn cloud(&self, row: usize) -> Result<Cloud<'a>, String> {
        let size = |it: &Int64Array| usize::try_from(it.value(row)).unwrap_or(usize::MAX);
        let bytes = self.bytes.value(row);
        let (height, width) = (size(&self.height), size(&self.width));
        let point_step = size(&self.point_step);
        // Of a single row its length says nothing.
        let row_step = if height <= 1 { width.saturating_mul(point_step) } else { size(&self.row_step) };
        let n_points = height.checked_mul(width);
        let row_bytes = width.checked_mul(point_step);
        let n_bytes =
            row_bytes.and_then(|it| row_step.checked_mul(height.saturating_sub(1))?.checked_add(it));
        let fits = n_bytes.is_some_and(|it| it <= bytes.len()) && row_bytes.is_some_and(|it| it <= row_step);
        match n_points {
            Some(0) => {
                Ok(Cloud { bytes: &[], width: 1, n_points: 0, point_step, row_step, is_bigendian: false })
            }
            Some(n_points) if fits && point_step != 0 => {
                let is_bigendian = self.is_bigendian.value(row) != 0;
                Ok(Cloud { bytes, width, n_points, point_step, row_step, is_bigendian })
            }
            _ => Err(format!(
                "{} bytes are no cloud of {height} × {width} points of {point_step} bytes, rows {row_step} bytes apart",
                bytes.len()
            )),
        }
    }

    /// Where in a point the fields lie.
    fn members(&self, row: usize, fields: &[String], point_step: usize) -> Result<Vec<Member>, String> {
        let of = |list: &Members<Int64Array>, place: usize| {
            list.of(row).nth(place).map(|it| list.values.value(it))
        };
        let member = |field: &String| {
            let names = self.names.of(row);
            let Some(place) = names.clone().position(|it| self.names.values.value(it) == field) else {
                let names = names.map(|it| self.names.values.value(it));
                return Err(format!("the points have no field `{field}`: {}", suggest(field, names)));
            };
            let count = of(&self.counts, place).unwrap_or(1);
            if !(0..=1).contains(&count) {
                return Err(format!("the field `{field}` of a point is {count} values, and one is taken"));
            }
            let datatype = of(&self.datatypes, place).unwrap_or(0);
            let Some(kind) = Kind::of(datatype) else {
                return Err(format!(
                    "the field `{field}` is of the type {datatype}, which is none of 1 to 8"
                ));
            };
            let offset = of(&self.offsets, place).and_then(|it| usize::try_from(it).ok());
            match offset.filter(|it| it.checked_add(kind.n_bytes()).is_some_and(|end| end <= point_step)) {
                Some(offset) => Ok(Member { offset, kind }),
                None => Err(format!("the field `{field}` does not lie in the {point_step} bytes of a point")),
            }
        };
        fields.iter().map(member).collect()
    }
}

impl Cloud<'_> {
    /// Reads one field of `n` points, evenly chosen.
    fn read<'v>(&self, member: &Member, n: usize, places: impl Iterator<Item = &'v mut f32>) {
        match member.kind {
            Kind::Int8 => self.each(member, n, places, |it| f32::from(i8::from_ne_bytes(it))),
            Kind::UInt8 => self.each(member, n, places, |it: [u8; 1]| f32::from(it[0])),
            Kind::Int16 => self.each(member, n, places, |it| f32::from(i16::from_le_bytes(it))),
            Kind::UInt16 => self.each(member, n, places, |it| f32::from(u16::from_le_bytes(it))),
            Kind::Int32 => self.each(member, n, places, |it| i32::from_le_bytes(it) as f32),
            Kind::UInt32 => self.each(member, n, places, |it| u32::from_le_bytes(it) as f32),
            Kind::Float32 => self.each(member, n, places, f32::from_le_bytes),
            Kind::Float64 => self.each(member, n, places, |it| f64::from_le_bytes(it) as f32),
        }
    }

    fn each<'v, const N: usize>(
        &self,
        member: &Member,
        n: usize,
        places: impl Iterator<Item = &'v mut f32>,
        of: impl Fn([u8; N]) -> f32,
    ) {
        for (idx, place) in places.take(n).enumerate() {
            let point = if n == self.n_points { idx } else { evenly(idx, self.n_points, n) };
            let (row, column) = (point / self.width, point % self.width);
            let start = row * self.row_step + column * self.point_step + member.offset;
            let value = self.bytes.get(start..).and_then(|it| it.first_chunk::<N>().copied());
            // Sizes were held against the bytes before.
            let mut value = value.unwrap_or([0; N]);
            if self.is_bigendian {
                value.reverse();
            }
            *place = of(value);
        }
    }
}

/// The point that stands for number `idx` of `n`, of `n_points`: ⌊idx · n_points / n⌋.
fn evenly(idx: usize, n_points: usize, n: usize) -> usize {
    let at = idx as u128 * n_points as u128 / (n.max(1)) as u128;
    usize::try_from(at).unwrap_or(0)
}

#[cfg(test)]
mod tests;
