use std::collections::BTreeMap;

use nodedata_core::DType;
use nodedata_message::Place;
use serde::{Deserialize, Serialize};

use crate::member::npy::{NoArray, Npy};

/// Dimensions of an array.
const DIMS_MAX: usize = 32;
/// Bytes of an array that may be absent and still have its size in the type: where it is, it takes as much.
const ABSENT_BYTES_MAX: u64 = 4 << 10;

/// The type that all arrays of a field have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ArrayType {
    pub(crate) dtype: DType,
    /// Outermost first; `None` where they differ.
    pub(crate) dims: Vec<Option<u32>>,
}

/// An array of several in one member.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LearnedArray {
    pub(crate) name: String,
    pub(crate) types: ArrayType,
    pub(crate) is_optional: bool,
}

/// Why members stay bytes, and the first of which that is so.
pub(super) type Opaque = Option<(String, Place)>;

/// What was seen of the arrays of a field.
#[derive(Debug, Default)]
pub(super) struct SeenArray {
    n: u64,
    types: Option<ArrayType>,
}

/// What was seen of the arrays of a field whose members have several.
#[derive(Debug, Default)]
pub(super) struct SeenArrays {
    n: u64,
    arrays: BTreeMap<String, SeenArray>,
}

impl ArrayType {
    fn of(array: &Npy) -> Self {
        // A size of 0 is hardly that of all of them.
        let dim = |it: &u64| u32::try_from(*it).ok().filter(|it| *it != 0);
        Self { dtype: array.dtype, dims: array.shape.iter().map(dim).collect() }
    }

    pub(super) fn is_sound(&self) -> bool {
        let n = self.dims.iter().flatten().try_fold(1u32, |all, it| all.checked_mul(*it));
        self.dims.len() <= DIMS_MAX
            && (self.dtype.is_numeric() || self.dtype == DType::Bool)
            && n.is_some_and(|it| it <= i32::MAX as u32)
            && !self.dims.contains(&Some(0))
    }

    /// Takes in the type of a later array; fails where no type is that of both.
    fn merge(&mut self, later: &Self) -> Result<(), String> {
        if self.dtype != later.dtype {
            return Err(format!("is of {} after others of {}", later.dtype, self.dtype));
        }
        if self.dims.len() != later.dims.len() {
            let (one, other) = (later.dims.len(), self.dims.len());
            return Err(format!("has {one} dimensions after others of {other}"));
        }
        for (mine, its) in self.dims.iter_mut().zip(&later.dims) {
            *mine = mine.filter(|it| Some(*it) == *its);
        }
        Ok(())
    }

    /// As the column has it, whose rows may be without an array: what is not there takes no room.
    fn for_absent(mut self) -> Self {
        let width = self.dtype.byte_width().unwrap_or(1) as u64;
        let n = self.dims.iter().try_fold(width, |all, it| all.checked_mul(u64::from((*it)?)));
        if n.is_none_or(|it| ABSENT_BYTES_MAX < it)
            && let Some(first) = self.dims.first_mut()
        {
            *first = None;
        }
        self
    }
}

impl SeenArray {
    pub(super) fn observe(&mut self, header: Result<Npy, NoArray>, place: Place, opaque: &mut Opaque) {
        let array = match header {
            Ok(array) if array.shape.len() <= DIMS_MAX => array,
            Ok(array) => {
                let message = format!("has {} dimensions", array.shape.len());
                opaque.get_or_insert((message, place));
                return;
            }
            Err(NoArray::Other(message)) => {
                opaque.get_or_insert((message, place));
                return;
            }
            // Left to reading, which knows its cost.
            Err(NoArray::Corrupt(_)) => return,
        };
        self.n += 1;
        self.add(ArrayType::of(&array), place, opaque);
    }

    fn add(&mut self, found: ArrayType, place: Place, opaque: &mut Opaque) {
        match &mut self.types {
            None => self.types = Some(found),
            Some(known) => {
                if let Err(message) = known.merge(&found) {
                    opaque.get_or_insert((message, place));
                }
            }
        }
    }

    /// Takes in what was seen later, first of it at `place`.
    pub(super) fn merge(&mut self, later: Self, place: Place, opaque: &mut Opaque) {
        self.n += later.n;
        if let Some(found) = later.types {
            self.add(found, place, opaque);
        }
    }

    /// The type of all arrays; where none can be read, of none.
    pub(super) fn types(&self, is_optional: bool) -> ArrayType {
        let none = || ArrayType { dtype: DType::UInt8, dims: vec![None] };
        let types = self.types.clone().unwrap_or_else(none);
        if is_optional { types.for_absent() } else { types }
    }
}

impl SeenArrays {
    pub(super) fn observe(
        &mut self,
        headers: Vec<(String, Result<Npy, NoArray>)>,
        place: Place,
        opaque: &mut Opaque,
    ) {
        self.n += 1;
        for (name, header) in headers {
            self.arrays.entry(name).or_default().observe(header, place, opaque);
        }
    }

    pub(super) fn merge(&mut self, later: Self, place: Place, opaque: &mut Opaque) {
        self.n += later.n;
        for (name, seen) in later.arrays {
            self.arrays.entry(name).or_default().merge(seen, place, opaque);
        }
    }

    pub(super) fn n_arrays(&self) -> usize {
        self.arrays.len()
    }

    pub(super) fn types(&self, is_optional: bool) -> Vec<LearnedArray> {
        let learned = |(name, seen): (&String, &SeenArray)| {
            let is_optional = is_optional || seen.n < self.n;
            LearnedArray { name: name.clone(), types: seen.types(is_optional), is_optional }
        };
        self.arrays.iter().map(learned).collect()
    }
}
