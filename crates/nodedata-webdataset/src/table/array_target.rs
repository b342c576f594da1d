use nodedata_core::{Columns, Dim, Feature, Layout, LeafId, Level, Result};

use super::target::{corrupt, header};
use crate::fields::ArrayType;

/// The column of arrays.
pub(super) struct ArrayTarget {
    id: LeafId,
    types: ArrayType,
    /// Outermost first.
    levels: Vec<Level>,
    is_optional: bool,
}

impl ArrayTarget {
    pub(super) fn compile(name: &str, types: &ArrayType, is_optional: bool, layout: &mut Layout) -> Self {
        let mut types = types.clone();
        // Where rows may be without the array, its outermost list is what may be null.
        if is_optional
            && types.dims.contains(&None)
            && let Some(first) = types.dims.first_mut()
        {
            *first = None;
        }
        let mut levels: Vec<Level> = Vec::new();
        for dim in &types.dims {
            let level = match dim {
                Some(n) => Level::Fixed(*n),
                None => Level::List(layout.list(&levels, is_optional)),
            };
            levels.push(level);
        }
        let shape = types.dims.iter().map(|it| it.map_or(Dim::Variable, Dim::Fixed)).collect();
        let feature = Feature::new(name, types.dtype, shape);
        let feature = if is_optional { feature.nullable() } else { feature };
        let id = layout.leaf(feature, &levels);
        Self { id, types, levels, is_optional }
    }

    pub(super) fn is_optional(&self) -> bool {
        self.is_optional
    }

    pub(super) fn push_absent(&self, columns: &mut Columns) {
        match self.levels.first() {
            Some(Level::List(list)) => columns.push_null_list(*list),
            Some(Level::Fixed(_)) | None => columns.push_null(self.id),
        }
    }

    /// # Errors
    /// `Corrupt` when it is no array, or one of another type.
    pub(super) fn push(&self, columns: &mut Columns, contents: &[u8]) -> Result<()> {
        let array = header(contents)?;
        let ArrayType { dtype, dims } = &self.types;
        let fits = |(dim, n): (&Option<u32>, &u64)| dim.is_none_or(|it| u64::from(it) == *n);
        let is_fitting = array.dtype == *dtype
            && array.shape.len() == dims.len()
            && dims.iter().zip(&array.shape).all(fits);
        if !is_fitting {
            let shape = &array.shape;
            return Err(corrupt(format!(
                "an array of {} in a shape of {shape:?}, unlike the others",
                array.dtype
            )));
        }
        let values = array.values(contents).map_err(corrupt)?;
        // How many items each level has, which headers bound even where there are no values.
        let (mut n_items, mut n_valid) = (1usize, 1usize);
        for (level, n) in self.levels.iter().zip(&array.shape) {
            let n = *n as usize;
            if let Level::List(list) = level {
                (0..n_items).for_each(|_| columns.push_len(*list, n));
                n_valid = n_items * n;
            }
            n_items *= n;
        }
        columns.push_le(self.id, &values);
        columns.push_valid_n(self.id, n_valid);
        Ok(())
    }
}
