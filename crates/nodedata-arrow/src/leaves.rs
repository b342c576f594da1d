//! Parquet columns as leaves: structs become dotted names, lists of structs parallel lists.

use std::collections::BTreeMap;

use arrow_schema::{DataType, Field};
use nodedata_core::{DType, Dim, Error, ErrorKind, Feature, Locus, Result, Storage};

use crate::ParquetFile;

/// One column of values and the way to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaf {
    /// The top-level column.
    pub root: String,
    /// Struct members below it, lists passed through.
    pub members: Vec<String>,
    /// Lists on the way, outermost first.
    pub dims: Vec<Dim>,
    /// `None` where the writer never saw a value.
    pub dtype: Option<DType>,
    /// Whether a null may occur.
    pub nullable: bool,
    /// An encoded image or audio clip: a struct of `bytes` and `path`, in either order. The lists on the way are
    /// lists of them.
    pub is_media: bool,
}

impl Leaf {
    /// Dotted name of the leaf.
    pub fn name(&self) -> String {
        let mut name = self.root.clone();
        for member in &self.members {
            name.push('.');
            name.push_str(member);
        }
        name
    }

    /// The feature that holds this leaf.
    pub fn feature(&self) -> Feature {
        let nullable = self.nullable || self.dtype.is_none();
        if self.is_media {
            let media = Feature::new(self.name(), DType::UInt8, Vec::new());
            let media = Feature { storage: Storage::EncodedMedia, nullable, ..media };
            return media.in_lists(self.dims.clone());
        }
        let dtype = self.dtype.unwrap_or(DType::String);
        Feature { nullable, ..Feature::new(self.name(), dtype, self.dims.clone()) }
    }
}

/// The leaves of a file, in the order of its columns.
///
/// # Errors
/// `Unsupported` for a type that no feature has.
pub fn leaves(file: &ParquetFile) -> Result<Vec<Leaf>> {
    let mut leaves = Vec::new();
    let mut has_nulls = null_counts(file).into_iter();
    for field in file.footer.schema().fields() {
        let start = Leaf {
            root: field.name().clone(),
            members: Vec::new(),
            dims: Vec::new(),
            dtype: None,
            nullable: false,
            is_media: false,
        };
        walk(field, start, &mut has_nulls, &mut leaves).map_err(|err| {
            err.at(Locus { feature: Some(field.name().clone()), ..Locus::path(&file.path) })
        })?;
    }
    Ok(leaves)
}

/// Per Parquet column, whether a null may occur: what the statistics of the footer say, or yes.
fn null_counts(file: &ParquetFile) -> Vec<bool> {
    let metadata = file.footer.metadata();
    let n_columns = file.footer.parquet_schema().num_columns();
    (0..n_columns)
        .map(|column| {
            let is_required = file.footer.parquet_schema().column(column).max_def_level() == 0;
            let counted = |it: &parquet::file::metadata::RowGroupMetaData| {
                it.column(column).statistics().and_then(|it| it.null_count_opt())
            };
            !is_required && metadata.row_groups().iter().any(|it| counted(it) != Some(0))
        })
        .collect()
}

fn walk(
    field: &Field,
    mut leaf: Leaf,
    has_nulls: &mut impl Iterator<Item = bool>,
    found: &mut Vec<Leaf>,
) -> Result<()> {
    match field.data_type() {
        DataType::List(item) | DataType::LargeList(item) => {
            leaf.dims.push(Dim::Variable);
            walk(item, leaf, has_nulls, found)
        }
        DataType::FixedSizeList(item, n) => {
            leaf.dims.push(Dim::Fixed(u32::try_from(*n).unwrap_or(0)));
            walk(item, leaf, has_nulls, found)
        }
        DataType::Struct(members) => {
            let names: Vec<&str> = members.iter().map(|it| it.name().as_str()).collect();
            if names == ["bytes", "path"] || names == ["path", "bytes"] {
                // A frame is absent when its bytes are; the path may be absent as it likes.
                for name in &names {
                    let has_nulls = has_nulls.next().unwrap_or(true);
                    leaf.nullable |= *name == "bytes" && has_nulls;
                }
                leaf.dtype = Some(DType::UInt8);
                leaf.is_media = true;
                found.push(leaf);
                return Ok(());
            }
            for member in members {
                let mut below = leaf.clone();
                below.members.push(member.name().clone());
                walk(member, below, has_nulls, found)?;
            }
            Ok(())
        }
        other => {
            leaf.nullable = has_nulls.next().unwrap_or(true);
            leaf.dtype = match other {
                DataType::Null => None,
                other => Some(DType::from_arrow(other).ok_or_else(|| {
                    let message =
                        format!("column `{}` has Arrow type {other}, which no feature has", leaf.name());
                    Error::new(ErrorKind::Unsupported, message)
                })?),
            };
            found.push(leaf);
            Ok(())
        }
    }
}

/// The leaves that hold the rows of all files: by name, in the order of the first file, each as wide as its
/// widest. A file may order its columns otherwise, and a leaf it lacks is null there.
#[derive(Debug, Default)]
pub struct Joined {
    leaves: Vec<Leaf>,
    position: BTreeMap<String, usize>,
    n_files: usize,
}

impl Joined {
    /// Takes in the leaves of one more file.
    ///
    /// # Errors
    /// `Unsupported` when it stores a column in a way that has no common type with the files before.
    pub fn add(&mut self, leaves: &[Leaf]) -> Result<()> {
        for leaf in leaves {
            match self.position.get(&leaf.name()) {
                None => {
                    self.position.insert(leaf.name(), self.leaves.len());
                    // The files before it lack the column.
                    let nullable = leaf.nullable || self.n_files > 0;
                    self.leaves.push(Leaf { nullable, ..leaf.clone() });
                }
                Some(at) => widen(&mut self.leaves[*at], leaf)?,
            }
        }
        for known in &mut self.leaves {
            known.nullable |= !leaves.iter().any(|it| it.root == known.root && it.members == known.members);
        }
        self.n_files += 1;
        Ok(())
    }

    /// The leaves of all files taken in.
    pub fn finish(self) -> Vec<Leaf> {
        self.leaves
    }
}

fn widen(known: &mut Leaf, other: &Leaf) -> Result<()> {
    let differ = || {
        let told = |it: &Leaf| match it.dtype {
            Some(dtype) => format!("{dtype}{}", "[]".repeat(it.dims.len())),
            None => "nothing".to_owned(),
        };
        let message = format!(
            "column `{}` holds {} here and {} in other files",
            known.name(),
            told(other),
            told(known)
        );
        Error::new(ErrorKind::Unsupported, message)
            .at(Locus::feature(known.name()))
            .with_hint("write the files again with one type for the column, or leave the feature out")
    };
    let dtype = match (known.dtype, other.dtype) {
        (it, None) | (None, it) => it,
        (Some(one), Some(two)) => Some(wider(one, two).ok_or_else(differ)?),
    };
    if known.dims.len() != other.dims.len() || known.is_media != other.is_media {
        return Err(differ());
    }
    for (dim, other) in known.dims.iter_mut().zip(&other.dims) {
        if dim != other {
            *dim = Dim::Variable;
        }
    }
    known.nullable |= other.nullable || other.dtype.is_none() || known.dtype.is_none();
    known.dtype = dtype;
    Ok(())
}

/// The narrowest type that holds every value of both; `None` where there is none.
pub fn wider(one: DType, two: DType) -> Option<DType> {
    use DType::{Float16, Float32, Float64, Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64};
    const SIGNED: [DType; 4] = [Int8, Int16, Int32, Int64];
    const UNSIGNED: [DType; 4] = [UInt8, UInt16, UInt32, UInt64];
    const FLOATS: [DType; 3] = [Float16, Float32, Float64];
    if one == two {
        return Some(one);
    }
    for family in [&SIGNED[..], &UNSIGNED, &FLOATS] {
        let position = |dtype| family.iter().position(|it| *it == dtype);
        if let (Some(one), Some(two)) = (position(one), position(two)) {
            return Some(family[one.max(two)]);
        }
    }
    let position = |family: &[DType], dtype| family.iter().position(|it| *it == dtype);
    let mixed = |signed, unsigned| {
        let (signed, unsigned) = (position(&SIGNED, signed)?, position(&UNSIGNED, unsigned)?);
        SIGNED.get(signed.max(unsigned + 1)).copied()
    };
    mixed(one, two).or_else(|| mixed(two, one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_type_holds_every_value_of_both() {
        assert_eq!(wider(DType::Int16, DType::Int64), Some(DType::Int64));
        assert_eq!(wider(DType::Float32, DType::Float64), Some(DType::Float64));
        assert_eq!(wider(DType::UInt8, DType::Int8), Some(DType::Int16));
        assert_eq!(wider(DType::UInt64, DType::Int8), None);
        assert_eq!(wider(DType::Float32, DType::Int32), None);
        assert_eq!(wider(DType::String, DType::Int32), None);
    }

    fn leaf(dtype: Option<DType>, dims: &[Dim]) -> Leaf {
        Leaf {
            root: "x".to_owned(),
            members: Vec::new(),
            dims: dims.to_vec(),
            dtype,
            nullable: false,
            is_media: false,
        }
    }

    fn joined(files: &[Vec<Leaf>]) -> Result<Vec<Leaf>> {
        let mut joined = Joined::default();
        files.iter().try_for_each(|it| joined.add(it))?;
        Ok(joined.finish())
    }

    #[test]
    fn a_column_that_a_file_lacks_or_never_filled_is_null_there() {
        let whole = leaf(Some(DType::Int32), &[]);
        assert!(joined(&[vec![whole.clone()], vec![]]).unwrap()[0].nullable);
        let filled_later = joined(&[vec![leaf(None, &[])], vec![whole.clone()]]).unwrap();
        assert_eq!((filled_later[0].dtype, filled_later[0].nullable), (Some(DType::Int32), true));
        let nested = leaf(Some(DType::Int32), &[Dim::Variable]);
        let err = joined(&[vec![whole], vec![nested]]).unwrap_err();
        assert_eq!((err.kind(), err.locus().to_string().as_str()), (ErrorKind::Unsupported, "feature `x`"));
    }
}
