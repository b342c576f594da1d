use std::collections::BTreeMap;

use nodedata_core::{DType, Dim, Error, ErrorKind, Locus, Result, meta};

use crate::{Leaf, logical::joined};

/// The leaves that hold the rows of all files: by name, in the order of the first file, each as wide as its
/// widest. A file may order its columns otherwise, and a leaf it lacks is null there.
#[derive(Debug, Default)]
pub struct Joined {
    leaves: Vec<Leaf>,
    /// By column and members.
    position: BTreeMap<(String, Vec<String>), usize>,
    n_files: usize,
}

impl Joined {
    /// Takes in the leaves of one more file.
    ///
    /// # Errors
    /// `Unsupported` when it stores a column in a way that has no common type with the files before.
    pub fn add(&mut self, leaves: &[Leaf]) -> Result<()> {
        let mut are_here = vec![false; self.leaves.len()];
        for leaf in leaves {
            let way = (leaf.root.clone(), leaf.members.clone());
            match self.position.get(&way) {
                None => {
                    self.position.insert(way, self.leaves.len());
                    // The files before it lack the column.
                    let nullable = leaf.nullable || self.n_files > 0;
                    self.leaves.push(Leaf { nullable, ..leaf.clone() });
                }
                Some(at) => {
                    widen(&mut self.leaves[*at], leaf)?;
                    if let Some(is_here) = are_here.get_mut(*at) {
                        *is_here = true;
                    }
                }
            }
        }
        for (known, is_here) in self.leaves.iter_mut().zip(are_here) {
            known.nullable |= !is_here;
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
    let told = |it: &Leaf| match it.dtype {
        Some(dtype) => {
            let meaning = it.metadata.get(meta::LOGICAL).map(|it| format!(" ({it})")).unwrap_or_default();
            format!("{dtype}{}{meaning}", "[]".repeat(it.dims.len()))
        }
        None => "nothing".to_owned(),
    };
    let name = known.name();
    let (here, elsewhere) = (told(other), told(known));
    let differ = |here: &str, elsewhere: &str| {
        let message = format!("column `{name}` holds {here} here and {elsewhere} in other files");
        Error::new(ErrorKind::Unsupported, message)
            .at(Locus::feature(&name))
            .with_hint("write the files again with one type for the column, or leave the feature out")
    };
    let dtype = match (known.dtype, other.dtype) {
        (it, None) | (None, it) => it,
        (Some(one), Some(two)) => Some(wider(one, two).ok_or_else(|| differ(&here, &elsewhere))?),
    };
    if known.dims.len() != other.dims.len() || known.is_media != other.is_media {
        return Err(differ(&here, &elsewhere));
    }
    for (dim, other) in known.dims.iter_mut().zip(&other.dims) {
        if dim != other {
            *dim = Dim::Variable;
        }
    }
    known.nullable |= other.nullable || other.dtype.is_none() || known.dtype.is_none();
    known.is_encrypted |= other.is_encrypted;
    known.unsupported = known.unsupported.take().or_else(|| other.unsupported.clone());
    known.metadata = match (known.dtype, other.dtype) {
        (_, None) => std::mem::take(&mut known.metadata),
        (None, _) => other.metadata.clone(),
        _ => {
            let differ = |key: &str| match key {
                meta::CONSTANTS => differ("other names of its constants", "their names"),
                _ => differ(&here, &elsewhere),
            };
            join_metadata(&known.metadata, &other.metadata).map_err(differ)?
        }
    };
    known.dtype = dtype;
    Ok(())
}

/// What both say of the values of a column; the key of what they do not agree on where they have to.
fn join_metadata(
    one: &BTreeMap<String, String>,
    two: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, &'static str> {
    let mut all = BTreeMap::new();
    match (one.get(meta::LOGICAL), two.get(meta::LOGICAL)) {
        (None, None) => {}
        (Some(one), Some(two)) => {
            let both = joined(one, two).ok_or(meta::LOGICAL)?;
            all.insert(meta::LOGICAL.to_owned(), both);
        }
        (Some(_), None) | (None, Some(_)) => return Err(meta::LOGICAL),
    }
    match (one.get(meta::CONSTANTS), two.get(meta::CONSTANTS)) {
        (Some(one), Some(two)) if one != two => return Err(meta::CONSTANTS),
        // Writers drop the names, and the numbers stay what they are.
        (one, two) => all.extend(one.or(two).map(|it| (meta::CONSTANTS.to_owned(), it.clone()))),
    }
    let others = one.iter().filter(|(key, value)| two.get(*key) == Some(*value));
    all.extend(others.map(|(key, value)| (key.clone(), value.clone())));
    Ok(all)
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
        Leaf { dims: dims.to_vec(), dtype, ..Leaf::root("x") }
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

    #[test]
    fn columns_are_found_by_their_names_wherever_they_stand() {
        let named = |name: &str| Leaf { dtype: Some(DType::Int32), ..Leaf::root(name) };
        let files = [vec![named("a"), named("b"), named("c")], vec![named("d"), named("c"), named("a")]];
        let told: Vec<(String, bool)> =
            joined(&files).unwrap().into_iter().map(|it| (it.root, it.nullable)).collect();
        let expected = [("a", false), ("b", true), ("c", false), ("d", true)];
        assert_eq!(told, expected.map(|(name, nullable)| (name.to_owned(), nullable)));
    }

    #[test]
    fn meanings_have_to_agree() {
        let with = |key: &str, value: &str| {
            let metadata = [(key.to_owned(), value.to_owned())].into();
            vec![Leaf { metadata, ..leaf(Some(DType::Int64), &[]) }]
        };
        let plain = vec![leaf(Some(DType::Int64), &[])];
        let ms = with(meta::LOGICAL, "timestamp[ms]");
        let both = joined(&[ms.clone(), with(meta::LOGICAL, "timestamp[us]")]).unwrap();
        assert_eq!(both[0].metadata[meta::LOGICAL], "timestamp[us]");
        let err = joined(&[ms.clone(), plain.clone()]).unwrap_err();
        assert_eq!(err.to_string(), "column `x` holds int64 here and int64 (timestamp[ms]) in other files");
        let named = with(meta::CONSTANTS, "a=0,b=1");
        assert_eq!(joined(&[plain, named.clone()]).unwrap()[0].metadata[meta::CONSTANTS], "a=0,b=1");
        assert!(joined(&[named, with(meta::CONSTANTS, "b=0,a=1")]).is_err());
        let never = vec![leaf(None, &[])];
        assert_eq!(joined(&[never, ms]).unwrap()[0].metadata[meta::LOGICAL], "timestamp[ms]");
        assert!(joined(&[with("other", "1"), with("other", "2")]).unwrap()[0].metadata.is_empty());
    }
}
